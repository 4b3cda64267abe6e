//! A fork bomb that never dies out, inside a limit that keeps it from the rest of the machine.

use super::Host;

/// A shell ends when it cannot fork, and its end is its next beginning.
const BOMB: &str = r#"BOMB=trap 'exec sh -c "$BOMB"' EXIT; while :; do sh -c "$BOMB" & done"#;

/// Flags, image and command: says `ready`, ignores TERM and leaves the rest to the bomb.
pub const ARGS: [&str; 8] = [
    "--pids-limit",
    "32",
    "-e",
    BOMB,
    "busybox:test",
    "sh",
    "-c",
    "trap '' TERM; sh -c \"$BOMB\" 2>/dev/null & echo ready; exec sleep 1000",
];

/// Waits until it has gone off.
#[track_caller]
pub fn wait(host: &Host) {
    // Not 32: one that execs is not counted for a moment.
    host.until_inside(25);
}
