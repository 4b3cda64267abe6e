//! First light: a task runs, its output and exit code come back, nothing is left.

use super::support::Host;

#[test]
fn a_command_s_output_and_exit_code_are_its_own() {
    let host = Host::new();
    assert_eq!(host.run(&["busybox:test", "echo", "hello"]).ok(), "hello\n");
    let output = host.run(&["busybox:test", "sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!(
        (output.code, output.stdout.as_str(), output.stderr.as_str()),
        (3, "out\n", "err\n")
    );
}

#[test]
fn an_absent_image_is_refused_with_what_to_do() {
    let host = Host::new();
    host.run(&["nosuch:image", "true"])
        .refused(&["nosuch:image", "airtight image import"]);
}
