use std::os::unix::fs::PermissionsExt;

use super::*;

const DAG: &str = "from airflow import DAG\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = folder.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn found(&self, below: &str, syntax: Syntax) -> Vec<String> {
        let rules = Rules {
            syntax,
            safe_mode: true,
        };
        let root = self.0.path();
        let found = dag_files(&root.join(below), root, rules).unwrap();
        assert!(found.skipped.is_empty(), "{:?}", found.skipped);
        let names = found
            .files
            .iter()
            .map(|path| path.strip_prefix(root).unwrap());
        names.map(|name| name.display().to_string()).collect()
    }
}

#[test]
fn python_files_that_speak_of_dags_and_archives_are_found() {
    let folder = Folder::with(&[
        ("a.py", DAG),
        ("deep/er/b.py", "import AIRFLOW # an Asset\n"),
        ("helper.py", "import os\n"),
        ("c.txt", DAG),
        ("d.zip", "PK\x03\x04"),
        ("__pycache__/a.pyc", DAG),
    ]);
    assert_eq!(
        folder.found("", Syntax::Glob),
        ["a.py", "d.zip", "deep/er/b.py"]
    );
}

#[test]
fn what_airflowignore_says_in_glob_syntax_does_not_count() {
    let folder = Folder::with(&[
        (
            ".airflowignore",
            "# all of these\nold_*  # once\n/x/y.py\nteam/\n!old_but_good.py\n",
        ),
        ("old_a.py", DAG),
        ("old_but_good.py", DAG),
        ("x/y.py", DAG),
        ("z/x/y.py", DAG),
        ("team/a.py", DAG),
        ("z/.airflowignore", "b.py"),
        ("z/b.py", DAG),
        ("b.py", DAG),
    ]);
    assert_eq!(
        folder.found("", Syntax::Glob),
        ["b.py", "old_but_good.py", "z/x/y.py"]
    );
}

#[test]
fn what_airflowignore_says_in_regular_expressions_does_not_count() {
    let folder = Folder::with(&[
        (".airflowignore", "^x/.*_old\\.py$\nteam_[ab]\n"),
        ("x/a_old.py", DAG),
        ("a_old.py", DAG),
        ("team_a/b.py", DAG),
        ("team_c/b.py", DAG),
    ]);
    assert_eq!(
        folder.found("", Syntax::Regexp),
        ["a_old.py", "team_c/b.py"]
    );
}

#[test]
fn what_the_folders_above_say_counts_within_a_folder_that_somebody_names() {
    let folder = Folder::with(&[
        (".airflowignore", "a.py\nteam\n"),
        ("team/a.py", DAG),
        ("team/b.py", DAG),
    ]);
    assert_eq!(folder.found("team", Syntax::Glob), ["team/b.py"]);
    assert!(folder.found("", Syntax::Glob).is_empty());
}

/// Runs `work` as a user who owns nothing; root reads everything.
fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
            work()
        });
        thread.join().unwrap()
    })
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_that_cannot_be_read_is_told_and_keeps_nothing_else_from_being_found() {
    let folder = Folder::with(&[("a.py", DAG), ("locked/b.py", DAG), ("z/c.py", DAG)]);
    let (root, locked) = (folder.0.path(), folder.0.path().join("locked"));
    set_mode(root, 0o755);
    set_mode(&locked, 0o000);
    let rules = Rules {
        syntax: Syntax::Glob,
        safe_mode: true,
    };
    let found = as_nobody(|| dag_files(root, root, rules)).unwrap();
    assert_eq!(found.files, [root.join("a.py"), root.join("z/c.py")]);
    let skipped: Vec<String> = found.skipped.iter().map(Failure::to_string).collect();
    assert_eq!(skipped.len(), 1, "{skipped:?}");
    assert!(
        skipped[0].contains("locked: Permission denied"),
        "{skipped:?}"
    );
    // But not when it is what somebody asks for.
    let failure = as_nobody(|| dag_files(&locked, root, rules)).unwrap_err();
    assert!(failure.to_string().contains("locked"), "{failure}");
}

#[test]
fn a_link_in_a_circle_is_followed_once() {
    let folder = Folder::with(&[("x/a.py", DAG)]);
    std::os::unix::fs::symlink("..", folder.0.path().join("x/up")).unwrap();
    assert_eq!(folder.found("", Syntax::Glob), ["x/a.py"]);
}
