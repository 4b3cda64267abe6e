//! A payload with a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use airtight::leash::{Event, Payload, Status, WindowSize};

use crate::inside::{Inside, soon};

/// A mount namespace with a /dev as a container's: empty but for a devpts of its own.
const OWN_DEV: &str = "mount -t tmpfs none /dev && mkdir /dev/pts &&
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 none /dev/pts &&
ln -s pts/ptmx /dev/ptmx && exec \"$0\" \"$@\"";

/// A payload in a terminal of 50 lines with 132 characters, in a /dev of its own.
async fn in_a_terminal(script: &str) -> (Inside, OwnedFd) {
    let namespaces = ["unshare", "--pid", "--fork", "--mount-proc"];
    let wrapper = [&namespaces[..], &["sh", "-c", OWN_DEV]].concat();
    let mut inside = Inside::spawned(&wrapper, &["sh", "-c", script]).await;
    let terminal = Some(WindowSize {
        rows: 50,
        columns: 132,
    });
    let descriptors = Vec::new();
    inside
        .leash
        .start(Payload {
            terminal,
            descriptors,
        })
        .unwrap();
    let Event::Terminal(master) = inside.event().await else {
        panic!("no terminal");
    };
    inside.started().await;
    (inside, master)
}

/// All a terminal shows until the payload's side is closed, which the kernel reports as EIO.
async fn shown(master: OwnedFd) -> String {
    let mut text = Vec::new();
    let read = tokio::task::spawn_blocking(move || {
        let end = File::from(master).read_to_end(&mut text).unwrap_err();
        assert_eq!(end.raw_os_error(), Some(libc::EIO));
        String::from_utf8(text).unwrap()
    });
    soon(read).await.unwrap()
}

#[tokio::test]
async fn the_terminal_has_its_name_and_its_size() {
    let (_inside, master) = in_a_terminal("tty; stty size; tty <&1; tty <&2").await;
    let name = "/dev/pts/0\r\n";
    assert_eq!(shown(master).await, format!("{name}50 132\r\n{name}{name}"));
}

#[tokio::test]
async fn the_console_is_the_terminal() {
    let (_inside, master) = in_a_terminal("echo last words >/dev/console").await;
    assert_eq!(shown(master).await, "last words\r\n");
}

#[tokio::test]
async fn the_payload_holds_nothing_but_the_terminal() {
    let (_inside, master) = in_a_terminal("ls /proc/$$/fd; true").await;
    // Dash opens the controlling terminal for itself only when it is interactive.
    assert_eq!(
        shown(master).await.split_whitespace().collect::<Vec<_>>(),
        ["0", "1", "2"]
    );
}

#[tokio::test]
async fn control_c_interrupts_the_payload() {
    let script = "trap 'exit 4' INT; echo ready; read line; exit 5";
    let (mut inside, master) = in_a_terminal(script).await;
    let mut terminal = File::from(master);
    let mut ready = [0; 7];
    terminal.read_exact(&mut ready).unwrap();
    assert_eq!(&ready, b"ready\r\n");
    terminal.write_all(b"\x03").unwrap();
    assert_eq!(inside.exited().await.status, Status::Code(4));
}

#[tokio::test]
async fn a_closed_terminal_hangs_the_payload_up() {
    let (mut inside, master) = in_a_terminal("exec sleep 1000").await;
    drop(master);
    let expected = Status::Signal(libc::SIGHUP.try_into().unwrap());
    assert_eq!(inside.exited().await.status, expected);
}
