//! The steps of a run in their order, and the switch with which tests stop a run at one of them.
//!
//! In: `AIRTIGHT_TEST_STEP=STEP:SIGNAL` in the environment, with a name of [`Step`] and `KILL` or `STOP`.
//! Out: that signal for ourselves, once the step is done. A build without debug assertions has no such
//! switch.

use nix::sys::signal::{Signal, raise};

/// The variable.
pub const SWITCH: &str = "AIRTIGHT_TEST_STEP";

/// Generates the steps and their names.
macro_rules! steps {
    ($($(#[$doc:meta])* $step:ident = $name:literal,)*) => {
        /// What has just been done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Step {
            $($(#[$doc])* $step,)*
        }

        impl Step {
            /// All of them, in their order.
            pub const ALL: &[Self] = &[$(Self::$step,)*];

            /// As the switch has it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$step => $name,)*
                }
            }
        }
    };
}

steps! {
    /// The settings are read, containerd was not asked for anything.
    Settings = "settings",
    /// There is a run directory with a record.
    Record = "record",
    /// The files that are mounted into the container.
    Files = "files",
    /// The image's own snapshots.
    Unpacked = "unpacked",
    /// The root file system.
    Snapshot = "snapshot",
    /// Others' files are mounted in the run directory, and the OCI spec is made.
    Spec = "spec",
    /// The container record of containerd.
    Container = "container",
    /// The cgroup.
    Cgroup = "cgroup",
    /// The socket that the init will call, where there is an init.
    Socket = "socket",
    /// The task, and with it the shim and the container's first process.
    Task = "task",
    /// The task was told to start.
    Start = "start",
    /// The payload runs; only with an init it is known when.
    Payload = "payload",
    /// The payload was asked to end.
    Stop = "stop",
    /// The payload has ended.
    End = "end",
    /// Nothing is alive in the cgroup.
    Killed = "killed",
    /// There is no task any more.
    TaskDeleted = "task-deleted",
    /// There is no container record and no snapshot any more.
    ContainerDeleted = "container-deleted",
    /// There is no cgroup any more.
    CgroupRemoved = "cgroup-removed",
    /// There are no anonymous volumes any more.
    VolumesRemoved = "volumes-removed",
    /// There is no run directory any more.
    Forgotten = "forgotten",
}

/// Does what the switch says of this step.
pub fn reached(step: Step) {
    if cfg!(debug_assertions) {
        let signal = match std::env::var(SWITCH)
            .as_deref()
            .map(|words| words.split_once(':'))
        {
            Ok(Some((name, "KILL"))) if name == step.name() => Signal::SIGKILL,
            Ok(Some((name, "STOP"))) if name == step.name() => Signal::SIGSTOP,
            _ => return,
        };
        // Both are signals that one may always send oneself.
        let _ = raise(signal);
    }
}
