use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::super::airflow_cfg::Environment;
use super::*;

/// An AIRFLOW_HOME, and the real python3.
struct Operator {
    dir: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Operator {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let variables = vec![
            ("AIRFLOW_HOME", dir.path().display().to_string()),
            ("PATH", std::env::var("PATH").unwrap()),
            // Not the one of a real Airflow, should this machine have one.
            ("AIRTIGHT_PYTHON", "python3".to_owned()),
        ];
        Self { dir, variables }
    }

    /// With `text` as its config/airflow_local_settings.py.
    fn with(text: &str) -> Self {
        let operator = Self::new();
        operator.write("config/airflow_local_settings.py", text);
        operator
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.push((name, value.into()));
    }

    /// A Python that leaves a trace when it is started; the trace.
    fn tracing_python(&mut self) -> PathBuf {
        let trace = self.path("trace");
        let python = self.path("python");
        self.write(
            "python",
            &format!(
                "#!/bin/sh\ntouch {}\nexec python3 \"$@\"\n",
                trace.display()
            ),
        );
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        self.set("AIRTIGHT_PYTHON", python.display().to_string());
        trace
    }

    fn ask(&self, image: &str) -> Result<Heard> {
        self.ask_within(image, LIMIT)
    }

    fn ask_within(&self, image: &str, limit: Duration) -> Result<Heard> {
        let environment: Environment = self.variables.iter().cloned().collect();
        ask(
            &AirflowConfig::without_file(environment),
            &Answers::default(),
            image,
            limit,
        )
    }

    #[track_caller]
    fn image(&self, image: &str) -> Option<String> {
        let heard = self.ask(image).unwrap();
        assert_eq!(heard.said, [""; 0]);
        heard.image.map(|(image, _)| image)
    }

    /// The failure's text and hints.
    #[track_caller]
    fn why(&self) -> String {
        let failure = self.ask("a:1").unwrap_err();
        format!("{failure}\n{}", failure.hints().join("\n"))
    }
}

const ANSWER: &str = "def get_docker_runtime_image(image):\n    return image + '-ours'\n";

#[test]
fn the_answer_names_the_image_and_the_line_of_the_function() {
    let operator = Operator::with(&format!("import os\n\n{ANSWER}"));
    let (image, origin) = operator.ask("a:1").unwrap().image.unwrap();
    assert_eq!(image, "a:1-ours");
    let file = operator.path("config/airflow_local_settings.py");
    assert_eq!(
        origin.to_string(),
        format!("get_docker_runtime_image ({}:3)", file.display())
    );
    assert_eq!(operator.image("").unwrap(), "-ours");
}

#[test]
fn none_keeps_the_image() {
    let operator = Operator::with("def get_docker_runtime_image(image):\n    pass\n");
    assert_eq!(operator.image("a:1"), None);
}

#[test]
fn what_is_no_name_is_an_error() {
    for (answer, words) in [
        ("7", "TypeError: get_docker_runtime_image returned int"),
        ("b'a:1'", "returned bytes"),
        ("''", "returned an empty str"),
        ("'\\udc00'", "UnicodeEncodeError"),
    ] {
        let text = format!("get_docker_runtime_image = lambda image: {answer}\n");
        let why = Operator::with(&text).why();
        assert!(why.contains(words), "{why}");
    }
    let why = Operator::with("get_docker_runtime_image = lambda image: 'a' * 100000\n").why();
    assert!(why.contains("more than 64 KiB"), "{why}");
}

#[test]
fn an_exception_is_told_with_its_traceback_and_the_file() {
    let operator = Operator::with(
        "def look_up(image):\n    raise KeyError(image)\n\ndef get_docker_runtime_image(image):\n    return look_up(image)\n",
    );
    let why = operator.why();
    let file = operator.path("config/airflow_local_settings.py");
    let file = file.display();
    let frames = format!(
        "\nTraceback (most recent call last):\n  File \"{file}\", line 5, in get_docker_runtime_image\n    return look_up(image)\n"
    );
    assert!(why.contains(&frames), "{why}");
    assert!(why.contains("\nKeyError: 'a:1'\n"), "{why}");
    assert!(
        why.contains(&format!(
            "the operator's {file} defines get_docker_runtime_image"
        )),
        "{why}"
    );
    assert!(why.contains("AIRTIGHT_PYTHON"), "{why}");
}

#[test]
fn a_module_that_ends_python_is_an_error() {
    for (text, words) in [
        ("import sys\nsys.exit(0)\n", "SystemExit: 0"),
        ("import sys\nsys.exit('no')\n", "SystemExit: no"),
        ("import os\nos._exit(0)\n", "without an answer"),
        ("import os\nos.kill(os.getpid(), 9)\n", "signal: 9"),
    ] {
        let why = Operator::with(&format!("{ANSWER}{text}")).why();
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn a_module_that_cannot_be_compiled_is_told_with_its_line() {
    let operator = Operator::with(&format!("{ANSWER}def (\n"));
    let why = operator.why();
    assert!(
        why.contains("airflow_local_settings.py\", line 3\n") && why.contains("SyntaxError"),
        "{why}"
    );
}

#[test]
fn an_endless_function_is_stopped_and_says_where_it_was() {
    let operator = Operator::with("def get_docker_runtime_image(image):\n    while True: pass\n");
    let limit = Duration::from_millis(300);
    let why = operator.ask_within("a:1", limit).unwrap_err().to_string();
    assert!(
        why.contains("Timeout") && why.contains("line 2 in get_docker_runtime_image"),
        "{why}"
    );
}

#[test]
fn what_the_module_prints_is_no_answer_but_is_passed_on() {
    let operator = Operator::with(
        "import os, sys\nprint('from the module')\ndef get_docker_runtime_image(image):\n    os.system('echo from a child')\n    sys.stderr.write('from the function\\n')\n    return 'b:2'\n",
    );
    let heard = operator.ask("a:1").unwrap();
    assert_eq!(heard.image.unwrap().0, "b:2");
    let mut said = heard.said;
    said.sort();
    assert_eq!(
        said,
        ["from a child", "from the function", "from the module"]
    );
}

#[test]
fn of_a_long_speech_the_last_lines_are_told() {
    let operator = Operator::with(
        "def get_docker_runtime_image(image):\n    for i in range(100000): print(i)\n    raise RuntimeError('the reason')\n",
    );
    let why = operator.ask("a:1").unwrap_err().to_string();
    assert!(
        why.contains("the reason") && why.len() < MAX_SAID + 200,
        "{}",
        why.len()
    );
    assert!(why.contains("\n…\n"), "{why}");
}

#[test]
fn what_all_does_not_name_is_not_defined() {
    let operator = Operator::with(&format!("__all__ = ['other']\nother = 1\n{ANSWER}"));
    assert_eq!(operator.image("a:1"), None);
    let operator = Operator::with(&format!("__all__ = ['get_docker_runtime_image']\n{ANSWER}"));
    assert_eq!(operator.image("a:1").unwrap(), "a:1-ours");
}

#[test]
fn a_module_that_imports_airflow_is_loaded_in_airflow_s_order() {
    let mut operator = Operator::with(&format!(
        "__all__ = ['get_docker_runtime_image']\nfrom airflow import conf\n{ANSWER}"
    ));
    // As airflow/settings.py does while it is imported.
    operator.write(
        "lib/airflow/__init__.py",
        "conf = 1\nimport airflow_local_settings as m\nfor name in m.__all__: getattr(m, name)\n",
    );
    operator.set("PYTHONPATH", operator.path("lib").display().to_string());
    assert_eq!(operator.image("a:1").unwrap(), "a:1-ours");
}

#[test]
fn a_star_import_may_define_it_elsewhere() {
    let operator = Operator::with("from company_settings import *\n");
    operator.write("plugins/company_settings.py", ANSWER);
    let (image, origin) = operator.ask("a:1").unwrap().image.unwrap();
    assert_eq!(image, "a:1-ours");
    assert!(
        origin
            .to_string()
            .ends_with("plugins/company_settings.py:1)"),
        "{origin}"
    );
}

#[test]
fn without_the_name_in_the_file_no_python_is_started() {
    for text in ["", "import os\ndef task_policy(task): pass\n"] {
        let mut operator = Operator::with(text);
        let trace = operator.tracing_python();
        assert_eq!(operator.image("a:1"), None);
        assert!(!trace.exists(), "{text}");
    }
    let mut operator = Operator::with(ANSWER);
    let trace = operator.tracing_python();
    assert_eq!(operator.image("a:1").unwrap(), "a:1-ours");
    assert!(trace.exists());
}

#[test]
fn python_path_comes_before_config_and_config_before_plugins() {
    let answer = |word: &str| format!("get_docker_runtime_image = lambda image: '{word}'\n");
    let mut operator = Operator::new();
    operator.write("plugins/airflow_local_settings.py", &answer("plugins"));
    assert_eq!(operator.image("a:1").unwrap(), "plugins");
    operator.write("config/airflow_local_settings.py", &answer("config"));
    assert_eq!(operator.image("a:1").unwrap(), "config");
    operator.write("lib/airflow_local_settings/__init__.py", &answer("lib"));
    operator.set(
        "PYTHONPATH",
        format!(":relative:{}", operator.path("lib").display()),
    );
    assert_eq!(operator.image("a:1").unwrap(), "lib");
}

#[test]
fn nothing_of_the_dags_folder_is_run() {
    let mut operator = Operator::new();
    let trace = operator.tracing_python();
    operator.write("dags/airflow_local_settings.py", ANSWER);
    assert_eq!(operator.image("a:1"), None);
    // Also where it is on PYTHONPATH, by another name; the operator is told.
    std::os::unix::fs::symlink(operator.path("dags"), operator.path("link")).unwrap();
    operator.set("PYTHONPATH", operator.path("link").display().to_string());
    let heard = operator.ask("a:1").unwrap();
    assert!(heard.image.is_none() && !trace.exists());
    assert!(
        heard
            .said
            .concat()
            .contains("link/airflow_local_settings.py is not asked")
    );
}

#[test]
fn the_module_finds_nothing_in_the_dags_folder_even_when_it_is_put_on_the_path() {
    let mut operator = Operator::new();
    operator.write(
        "shared/dags/helper.py",
        "raise RuntimeError('an author has run')\n",
    );
    operator.write(
        "shared/dags/sitecustomize.py",
        "raise RuntimeError('an author has run')\n",
    );
    let dags = operator.path("shared/dags").display().to_string();
    operator.write(
        "config/airflow_local_settings.py",
        &format!(
            "import sys\nsys.path.append('{dags}')\n\ndef get_docker_runtime_image(image):\n    try:\n        import helper\n    except ModuleNotFoundError:\n        return 'not found'\n"
        ),
    );
    operator.set("AIRFLOW__CORE__DAGS_FOLDER", &dags);
    operator.set("PYTHONPATH", &dags);
    assert_eq!(operator.image("a:1").unwrap(), "not found");
}

#[test]
fn the_modules_see_no_working_directory_on_the_path() {
    let operator = Operator::with(
        "import os, sys\n\ndef get_docker_runtime_image(image):\n    return repr([path for path in sys.path if not os.path.isabs(path)])\n",
    );
    assert_eq!(operator.image("a:1").unwrap(), "[]");
}

#[test]
fn nothing_is_written_beside_the_module() {
    let operator = Operator::with(ANSWER);
    operator.image("a:1");
    assert!(!operator.path("config/__pycache__").exists());
}

#[test]
fn a_file_in_another_encoding_is_for_python_to_read() {
    let operator = Operator::new();
    operator.write("config/airflow_local_settings.py", "");
    let text = format!("# coding: latin-1\n# \u{fc}\n{ANSWER}");
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    fs::write(operator.path("config/airflow_local_settings.py"), latin).unwrap();
    assert_eq!(operator.image("a:1").unwrap(), "a:1-ours");
}

#[test]
fn without_a_python_only_a_hook_is_a_failure() {
    let mut operator = Operator::with("");
    operator.set("AIRTIGHT_PYTHON", "/no/such/python");
    assert_eq!(operator.image("a:1"), None);
    operator.write("config/airflow_local_settings.py", ANSWER);
    let why = operator.why();
    assert!(
        why.contains("AIRTIGHT_PYTHON") && why.contains("/no/such/python"),
        "{why}"
    );
}

#[test]
fn a_link_into_the_dags_folder_is_not_followed() {
    let operator = Operator::new();
    operator.write("dags/hook.py", ANSWER);
    fs::create_dir(operator.path("config")).unwrap();
    let link = operator.path("config/airflow_local_settings.py");
    std::os::unix::fs::symlink("../dags/hook.py", link).unwrap();
    assert!(operator.why().contains("leads into the DAGs folder"));
}
