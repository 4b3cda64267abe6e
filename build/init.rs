//! Builds `src/init` as one static program and leaves it at `$OUT_DIR/airtight-init`.
//!
//! It is a program of its own, in its own target directory, because it needs other compiler flags
//! than the binary that embeds it: linked statically, so that it starts in an image without a
//! C library.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the init program; a failure ends the build with cargo's own messages.
pub fn build() {
    println!("cargo::rerun-if-changed=src/init");
    for shared in ["protocol", "codec", "packet"] {
        println!("cargo::rerun-if-changed=src/leash/{shared}.rs");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let target_dir = out.join("init");

    let status = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"))
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--target",
            &target,
        ])
        .args(["--manifest-path", "src/init/Cargo.toml", "--target-dir"])
        .arg(&target_dir)
        // Flags of the outer build (coverage, sanitizers) do not fit a static program.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env(
            "RUSTFLAGS",
            "-C target-feature=+crt-static -C relocation-model=static",
        )
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .status()
        .expect("cargo can be started");
    assert!(status.success(), "building src/init failed");

    let built = target_dir.join(&target).join("release/airtight-init");
    copy(&built, &out.join("airtight-init"));
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap_or_else(|why| panic!("cannot copy {}: {why}", from.display()));
}
