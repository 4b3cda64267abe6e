//! The OCI runtime behind containerd: its options, and what its messages mean.

use prost_types::Any;

use crate::containerd::Error;
use crate::failure::{Failure, Kind};
use crate::plan::Plan;

/// `containerd.runc.v1.Options`, the fields we set (containerd, `runtime/v2/runc/options/oci.proto`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Options {
    /// The runtime to call in place of runc.
    #[prost(string, tag = "6")]
    pub binary_name: String,
    /// The cgroup path has systemd's form.
    #[prost(bool, tag = "9")]
    pub systemd_cgroup: bool,
}

impl Options {
    /// As containerd expects it in a container record.
    pub fn to_any(&self) -> Any {
        Any {
            type_url: "containerd.runc.v1.Options".to_owned(),
            value: prost::Message::encode_to_vec(self),
        }
    }
}

/// A failed creation. Only without our init does the runtime look for the command.
pub fn explain(error: Error, plan: &Plan) -> Failure {
    let command = plan.process.args.first().map_or("", String::as_str);
    if plan.process.init {
        error.into()
    } else {
        explain_command(error, command)
    }
}

/// A failed start of `command`, with the exit code that docker's users expect where the command itself is
/// at fault. The runtime says what is wrong in words alone (runc, `libcontainer/standard_init_linux.go`;
/// crun, `src/libcrun/container.c`).
pub fn explain_command(error: Error, command: &str) -> Failure {
    let message = error.message().to_owned();
    match fault_of_command(command, &message) {
        Some(kind) => Failure::new(kind, format!("cannot run {command:?}")).because(message),
        None => error.into(),
    }
}

/// What is wrong with the command, where it is. The runtimes say so in words alone (runc,
/// `libcontainer/standard_init_linux.go`; crun, `src/libcrun/container.c`, with the C library's capitals).
fn fault_of_command(command: &str, message: &str) -> Option<Kind> {
    // Other files can be absent as well, such as the runtime itself.
    if !message.contains(&format!("exec: {command:?}")) && !message.contains("executable") {
        return None;
    }
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["not found", "no such file or directory"]) {
        return Some(Kind::CommandNotFound);
    }
    let unusable = [
        "permission denied",
        "operation not permitted",
        "exec format error",
        "is a directory",
    ];
    says(&unusable).then_some(Kind::CommandNotExecutable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_s_words_say_what_is_wrong_with_the_command() {
        let not_found = Some(Kind::CommandNotFound);
        let unusable = Some(Kind::CommandNotExecutable);
        for (command, message, kind) in [
            (
                "nosuch",
                r#"exec: "nosuch": executable file not found in $PATH"#,
                not_found,
            ),
            (
                "/etc",
                r#"exec: "/etc": permission denied: unknown"#,
                unusable,
            ),
            (
                "nosuch",
                "executable file `nosuch` not found in $PATH: No such file or directory",
                not_found,
            ),
            (
                "/etc/passwd",
                "open executable: Permission denied: unknown",
                unusable,
            ),
            (
                "/etc",
                "open executable: Operation not permitted: unknown",
                unusable,
            ),
            (
                "true",
                "fork/exec /nosuch/runc: no such file or directory",
                None,
            ),
        ] {
            assert_eq!(fault_of_command(command, message), kind, "{message}");
        }
    }
}
