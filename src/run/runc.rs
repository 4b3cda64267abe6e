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
    // Other files can be absent as well, such as the runtime itself.
    let of_command =
        message.contains(&format!("exec: {command:?}")) || message.contains("executable");
    let says = |words: &[&str]| of_command && words.iter().any(|word| message.contains(word));
    let kind = if says(&["not found", "no such file or directory"]) {
        Kind::CommandNotFound
    } else if says(&["permission denied", "exec format error", "is a directory"]) {
        Kind::CommandNotExecutable
    } else {
        return error.into();
    };
    Failure::new(kind, format!("cannot run {command:?}")).because(message)
}
