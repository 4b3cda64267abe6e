//! Payloads that are shell scripts, and payloads that are looked at from outside while they run.

use std::process::Stdio;

use super::{Host, Output, Run, processes, runs};

/// A payload that says `ready` and goes on until it is killed.
pub const SLEEP: [&str; 4] = ["busybox:test", "sh", "-c", "echo ready; exec sleep 1000"];

impl Host {
    /// Leaves a run with these flags whose airtight was killed while its payload ran.
    #[track_caller]
    pub fn dead(&self, flags: &[&str]) {
        let args = [&["run"], flags, &SLEEP].concat();
        Run::ready(&mut self.command(&args)).destroy();
    }

    /// What `script` prints, run by the shell of `busybox:test` with `flags`.
    #[track_caller]
    pub fn sh(&self, flags: &[&str], script: &str) -> String {
        self.run(&with_script(flags, script)).ok()
    }

    /// The same, going on until its stdin ends.
    pub fn start(&self, flags: &[&str], script: &str) -> Run {
        let script = format!("{script}\nexec cat >/dev/null");
        let flags = [&["run", "-i"], flags].concat();
        let args = with_script(&flags, &script);
        Run::start(self.command(&args).stdin(Stdio::piped()))
    }

    /// `airtight run ARGS` to its end, and its verdict.
    #[track_caller]
    pub fn verdict(&self, args: &[&str]) -> (Output, serde_json::Value) {
        let path = self.path("verdict.json");
        let flag = ["--verdict", path.to_str().unwrap()];
        let output = self.run(&[&flag, args].concat());
        let verdict = runs::verdict(&path);
        assert_eq!(verdict["exit_code"], output.code, "{verdict}");
        (output, verdict)
    }

    /// Waits until at least `count` processes of runs are going on.
    #[track_caller]
    pub fn until_inside(&self, count: usize) {
        processes::until(&format!("{count} processes are inside"), || {
            processes::below(&self.subpath()).len() >= count
        });
    }

    /// Waits until no process of a run is left.
    #[track_caller]
    pub fn until_nobody_is_inside(&self) {
        processes::until("everything inside is gone", || {
            processes::below(&self.subpath()).is_empty()
        });
    }

    /// Waits until no shim of a task of this test is left.
    #[track_caller]
    pub fn until_no_shim_is_left(&self) {
        let namespace = format!("\0-namespace\0{}\0", self.namespace());
        processes::until("every shim has ended", || {
            let mut all = processes::arguments();
            !all.any(|(_, arguments)| arguments.contains(&namespace))
        });
    }

    /// Removes the state directory, as a reboot does.
    pub fn forget_everything(&self) {
        // Whoever is just being killed may still make something in it.
        processes::until("the state directory is gone", || {
            let _ = std::fs::remove_dir_all(self.state());
            !self.state().exists()
        });
    }

    /// The init of the only run.
    #[track_caller]
    pub fn init(&self) -> i32 {
        let inside = processes::below(&self.subpath());
        let mut inside = inside.into_iter();
        let init = inside.find(|pid| processes::name(*pid) == "airtight-init");
        init.expect("a run with an init is going on")
    }

    /// `airtight ARGS` started by a shell after it did `setup`, such as opening descriptors.
    pub fn after(&self, setup: &str, args: &[&str]) -> Output {
        Output::of(&mut runs::after(setup, &self.command(args)))
    }
}

fn with_script<'a>(flags: &[&'a str], script: &'a str) -> Vec<&'a str> {
    [flags, &["busybox:test", "sh", "-c", script]].concat()
}
