//! What every test needs.

mod airflow;
pub mod bomb;
pub mod containerd;
pub mod keeper;
pub mod ledger;
pub mod middleman;
pub mod mounted;
mod output;
pub mod processes;
pub mod proxy;
pub mod registry;
pub mod runs;
pub mod shell;
pub mod terminal;
pub mod this_host;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

use ledger::Ledger;
pub use output::Output;
pub use runs::Run;
use tempfile::TempDir;

/// One test's part of the machine. Dropping it checks that the ledger is the same as before.
pub struct Host {
    address: PathBuf,
    namespace: String,
    dir: TempDir,
    before: Option<Ledger>,
}

impl Host {
    /// With `archives` (names of archives that `scripts/make-test-images` makes) imported.
    pub fn with(archives: &[&str]) -> Self {
        Self::at(address(), archives)
    }

    /// The same on the containerd that listens at `address`.
    pub fn at(address: PathBuf, archives: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut host = Self {
            address,
            namespace: format!("e2e-{}-{number}", std::process::id()),
            // A socket's path has at most 107 bytes, so the state directory has a short name.
            dir: tempfile::Builder::new()
                .prefix("at")
                .tempdir_in("/tmp")
                .unwrap(),
            before: None,
        };
        for image in archives {
            let archive = images().join(format!("{image}.tar"));
            let output = Output::of(host.command(&["image", "import"]).arg(archive));
            assert_eq!(output.code, 0, "import of {image}: {}", output.stderr);
        }
        host.before = Some(Ledger::of(&host));
        host
    }

    /// With a shell and its tools as `busybox:test`.
    pub fn new() -> Self {
        Self::with(&["busybox"])
    }

    /// `airtight ARGS`, in this test's part of the machine, with nothing on stdin.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_airtight"));
        command
            .env("CONTAINERD_ADDRESS", &self.address)
            .env("CONTAINERD_NAMESPACE", &self.namespace)
            .env("AIRTIGHT_STATE_DIR", self.state())
            .env("AIRFLOW_HOME", self.path("airflow"))
            .env_remove("AIRFLOW_CONFIG")
            .env("AIRTIGHT_DATA_DIR", self.dir.path().join("data"))
            .stdin(Stdio::null());
        let Some((verb @ (&"run" | &"bundle"), rest)) = args.split_first() else {
            command.args(args);
            return command;
        };
        command
            .arg(verb)
            .args(["--cgroup-subpath", &self.subpath()]);
        if let ("run", Some(binary)) = (*verb, runtime_binary()) {
            command.arg("--runtime-binary").arg(binary);
        }
        command.args(rest);
        command
    }

    /// Runs `airtight ARGS` to its end.
    pub fn airtight(&self, args: &[&str]) -> Output {
        Output::of(&mut self.command(args))
    }

    /// `airtight run ARGS`, to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.airtight(&[&["run"], args].concat())
    }

    /// `ctr ARGS` in this test's namespace: containerd's own view. Its output.
    pub fn ctr(&self, args: &[&str]) -> String {
        let output = Command::new("ctr")
            .args([
                "--address",
                self.address.to_str().unwrap(),
                "--namespace",
                &self.namespace,
            ])
            .args(args)
            .output()
            .expect("ctr can be started");
        assert!(
            output.status.success(),
            "ctr {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The cgroup below which this test's containers are.
    pub fn subpath(&self) -> String {
        self.namespace.clone()
    }

    /// Removes the empty cgroups above this test's containers, where another runtime than ours has
    /// made them.
    pub fn remove_cgroup_parents(&self) {
        let controllers = fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
        let roots = controllers.map(|entry| entry.path());
        for root in roots.chain(["/sys/fs/cgroup".into()]) {
            // Most are not there, and one that is not empty is the ledger's business.
            let _ = fs::remove_dir(root.join(self.subpath()));
        }
    }

    /// containerd's socket.
    pub fn address(&self) -> PathBuf {
        self.address.clone()
    }

    /// containerd's namespace of this test.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The directory of anonymous volumes.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A path for files of the test itself.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The owner of run `id`, by its record.
    pub fn owner(&self, id: &str) -> i32 {
        let record = std::fs::read(self.state().join(id).join("record.json")).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        i32::try_from(record["owner"]["pid"].as_i64().unwrap()).unwrap()
    }

    /// Asserts that everything is as it was when the test began.
    pub fn assert_clean(&self) {
        let after = Ledger::of(self);
        let before = self
            .before
            .as_ref()
            .expect("the ledger is taken when the host is made");
        assert_eq!(&after, before, "something was left behind");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_clean();
        }
    }
}

/// The directory of the test images.
pub fn images() -> PathBuf {
    wanted("AIRTIGHT_TEST_IMAGES")
}

/// The socket of the private containerd.
pub fn address() -> PathBuf {
    wanted("AIRTIGHT_TEST_ADDRESS")
}

/// The OCI runtime of runs that name none, where it is not airtight's own choice.
pub fn runtime_binary() -> Option<OsString> {
    env::var_os("AIRTIGHT_TEST_RUNTIME_BINARY")
}

fn wanted(variable: &str) -> PathBuf {
    let value = env::var_os(variable);
    let value =
        value.unwrap_or_else(|| panic!("{variable} is not set: run the tests with `make test`"));
    Path::new(&value).to_owned()
}
