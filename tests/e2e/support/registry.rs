//! A registry of a test's own (Debian's `docker-registry`), and images in it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use airtight::image::digest::Digest;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::images;
use super::runs::Kept;

/// Who may pull from a registry with a password.
pub const USER: &str = "alice";
pub const PASSWORD: &str = "s3cret-of-alice";
/// `htpasswd -Bbn alice s3cret-of-alice`
const HTPASSWD: &str = "alice:$2y$05$B9PnG1R5f1iG4qamNWa0TesNpgqXgIk6GoPWsi5zQCeduNRIP4yqu";

/// A registry at `localhost:PORT`.
pub struct Registry {
    /// Its name in image names.
    pub name: String,
    dir: TempDir,
    secure: bool,
    _server: Kept,
}

impl Registry {
    /// Without TLS and for everybody.
    pub fn plain() -> Self {
        Self::start(false)
    }

    /// With TLS by an authority of its own, and a password.
    pub fn secure() -> Self {
        Self::start(true)
    }

    fn start(secure: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let mut config = json!({
            "version": "0.1",
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": path("data")}},
            "http": {"addr": "127.0.0.1:0"},
        });
        if secure {
            certificates(dir.path());
            fs::write(path("htpasswd"), format!("{HTPASSWD}\n")).unwrap();
            let tls = json!({"certificate": path("server.crt"), "key": path("server.key")});
            config["http"]["tls"] = tls;
            config["auth"] = json!({"htpasswd": {"realm": "test", "path": path("htpasswd")}});
        }
        // JSON is YAML.
        fs::write(path("config.yml"), config.to_string()).unwrap();
        let mut server = Command::new("docker-registry")
            .arg("serve")
            .arg(path("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry can be started: scripts/install-deps");
        let said = server.stderr.take().unwrap();
        let server = Kept(server);
        let port = port(File::from(OwnedFd::from(said)));
        let registry = Self {
            name: format!("localhost:{port}"),
            dir,
            secure,
            _server: server,
        };
        registry.write_credentials("auth.json", PASSWORD);
        registry
    }

    /// `HOST:PORT/NAME`.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    /// The authority's certificate.
    pub fn ca_file(&self) -> String {
        self.path("certs/ca.crt").display().to_string()
    }

    /// A file with the right password.
    pub fn credentials(&self) -> String {
        self.path("auth.json").display().to_string()
    }

    /// A file with another one.
    pub fn credentials_with(&self, password: &str) -> String {
        self.write_credentials("other.json", password);
        self.path("other.json").display().to_string()
    }

    fn write_credentials(&self, file: &str, password: &str) {
        let auths = json!({"auths": {&self.name: {"username": USER, "password": password}}});
        fs::write(self.path(file), auths.to_string()).unwrap();
        // skopeo reads docker's own form only.
        let pair = format!("{USER}:{password}");
        let auth = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair);
        let auths = json!({"auths": {&self.name: {"auth": auth}}});
        fs::write(self.path("skopeo.json"), auths.to_string()).unwrap();
    }

    /// Puts an archive of `scripts/make-test-images` into it.
    pub fn push_archive(&self, archive: &str, name: &str) {
        let file = images().join(format!("{archive}.tar"));
        self.push(&format!("oci-archive:{}", file.display()), name);
    }

    /// Puts images for several platforms into it, under one name.
    pub fn push_layout(&self, layout: &Layout, name: &str) {
        self.push(&format!("oci:{}:x", layout.dir.path().display()), name);
    }

    fn push(&self, from: &str, name: &str) {
        let mut skopeo = Command::new("skopeo");
        skopeo
            .args(["copy", "--quiet", "--all", "--preserve-digests"])
            .arg("--dest-authfile")
            .arg(self.path("skopeo.json"));
        match self.secure {
            true => skopeo.arg("--dest-cert-dir").arg(self.path("certs")),
            false => skopeo.arg("--dest-tls-verify=false"),
        };
        let output = skopeo
            .arg(from)
            .arg(format!("docker://{}", self.image(name)))
            .output();
        let output = output.expect("skopeo can be started: scripts/install-deps");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Where it listens, which its log says; the rest of the log is read away.
fn port(said: File) -> u16 {
    let mut lines = BufReader::new(said).lines();
    let mut seen = String::new();
    while let Some(Ok(line)) = lines.next() {
        let port = line.split("listening on 127.0.0.1:").nth(1);
        let digits = port.map(|port| port.split(|c: char| !c.is_ascii_digit()).next().unwrap());
        if let Some(port) = digits {
            let port = port.parse().unwrap();
            std::thread::spawn(move || lines.for_each(drop));
            return port;
        }
        seen.push_str(&line);
    }
    panic!("docker-registry did not start: {seen}");
}

/// An authority and a certificate of localhost, and of a host that only a proxy knows, by it.
fn certificates(dir: &Path) {
    fs::create_dir(dir.join("certs")).unwrap();
    let names = "subjectAltName=DNS:localhost,DNS:registry.test\nbasicConstraints=CA:FALSE\n";
    fs::write(dir.join("names"), names).unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for command in [
        format!("req -x509 {key} -keyout ca.key -out certs/ca.crt -days 2 -subj /CN=authority"),
        format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"),
        "x509 -req -in server.csr -CA certs/ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt".to_owned(),
    ] {
        let output = Command::new("openssl").args(command.split(' ')).current_dir(dir).output();
        let output = output.expect("openssl can be started: scripts/install-deps");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}

/// An OCI layout in the making: images of one name, each for a platform.
pub struct Layout {
    dir: TempDir,
    manifests: Vec<Value>,
}

impl Layout {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
        let version = r#"{"imageLayoutVersion":"1.0.0"}"#;
        fs::write(dir.path().join("oci-layout"), version).unwrap();
        Self {
            dir,
            manifests: Vec::new(),
        }
    }

    /// Adds an image; each layer is one file, by its name and content. The digests of its layers.
    pub fn add(&mut self, architecture: &str, layers: &[(&str, Vec<u8>)]) -> Vec<String> {
        let mut descriptors = Vec::new();
        let mut diff_ids = Vec::new();
        for (name, content) in layers {
            let tar = tar(name, content);
            diff_ids.push(Digest::of(&tar).to_string());
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(&tar).unwrap();
            let layer = self.blob(&gzip.finish().unwrap(), "layer.v1.tar+gzip");
            descriptors.push(layer);
        }
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = self.blob(config.to_string().as_bytes(), "config.v1+json");
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": descriptors,
        });
        let mut manifest = self.blob(manifest.to_string().as_bytes(), "manifest.v1+json");
        manifest["platform"] = json!({"os": "linux", "architecture": architecture});
        self.manifests.push(manifest);
        self.write_index();
        let digest = |layer: &Value| layer["digest"].as_str().unwrap().to_owned();
        descriptors.iter().map(digest).collect()
    }

    fn write_index(&self) {
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": self.manifests,
        });
        let mut index = self.blob(index.to_string().as_bytes(), "index.v1+json");
        index["annotations"] = json!({"org.opencontainers.image.ref.name": "x"});
        let root = json!({"schemaVersion": 2, "manifests": [index]});
        fs::write(self.dir.path().join("index.json"), root.to_string()).unwrap();
    }

    fn blob(&self, bytes: &[u8], kind: &str) -> Value {
        let digest = Digest::of(bytes);
        let path = self.dir.path().join("blobs/sha256").join(digest.hex());
        fs::write(path, bytes).unwrap();
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": digest.to_string(),
            "size": bytes.len(),
        })
    }
}

fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, content).unwrap();
    tar.into_inner().unwrap()
}

/// This host's architecture, as images name it.
pub fn this_host() -> String {
    oci_spec::image::Arch::default().to_string()
}

/// Bytes that do not compress and that nobody else has: containerd shares blobs between the namespaces
/// of tests, and would not want them sent.
pub fn noise(length: usize) -> Vec<u8> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let seed = (u64::from(std::process::id()) << 32) + number;
    // xorshift64 (Marsaglia, 2003).
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}
