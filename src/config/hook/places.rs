//! Where the operator's airflow_local_settings.py can be, and whether one speaks of the hook.
//!
//! In: airflow.cfg and its environment. Out: directories, and what the files in them mention. Nothing
//! of Python's is started here: most hosts have no hook, and none of their runs is to pay for one.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::airflow_cfg::AirflowConfig;
use super::super::text_file;
use super::{FUNCTION, MODULE};
use crate::failure::Result;

/// Larger than any settings file that people write.
const MAX_SIZE: u64 = 1 << 20;

/// The directories, all absolute.
#[derive(Debug)]
pub(super) struct Places {
    /// Those of PYTHONPATH that are the operator's.
    pub python_path: Vec<PathBuf>,
    /// What Airflow puts at the end of sys.path: config and plugins.
    pub appended: Vec<PathBuf>,
    /// Where DAG authors write.
    pub dags: PathBuf,
    /// Files that would be the hook's, were they not below the DAGs folder.
    pub ignored: Vec<PathBuf>,
}

/// An airflow_local_settings.py that may define the hook.
#[derive(Debug)]
pub(super) struct Candidate {
    pub file: PathBuf,
    /// It imports Airflow at its outermost level.
    pub imports_airflow: bool,
}

impl Places {
    pub(super) fn of(config: &AirflowConfig) -> Result<Self> {
        let environment = config.environment();
        let home = config.absolute_home()?;
        let dags = config.folder("core", "dags_folder", "dags")?;
        let named = environment.get("PYTHONPATH").map(std::env::split_paths);
        let named: Vec<PathBuf> = named.into_iter().flatten().collect();
        // An empty or a relative one is the working directory, or below it.
        let named = named.into_iter().filter(|path| path.is_absolute());
        let plugins = config.folder("core", "plugins_folder", "plugins")?;
        let appended = [home.join("config"), plugins];
        let mut ignored = Vec::new();
        let mut outside = |path: &PathBuf| {
            let outside = !real(path).starts_with(real(&dags));
            if !outside {
                ignored.extend(candidate_in(path).map(|candidate| candidate.file));
            }
            outside
        };
        Ok(Self {
            python_path: named.filter(&mut outside).collect(),
            appended: appended.into_iter().filter(&mut outside).collect(),
            dags,
            ignored,
        })
    }

    /// The first file on `python`'s path that speaks of the hook.
    pub(super) fn candidate(
        &self,
        python: Option<&Path>,
        home: Option<&Path>,
    ) -> Option<Candidate> {
        let installed = site_packages(python, home);
        let all = self.python_path.iter().chain(&installed);
        all.chain(&self.appended).find_map(|dir| candidate_in(dir))
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The file of the module in one directory, if it speaks of the hook. Of a package and a file, Python
/// takes the package.
fn candidate_in(directory: &Path) -> Option<Candidate> {
    let package = directory.join(MODULE).join("__init__.py");
    let file = directory.join(MODULE).with_extension("py");
    let file = [package, file].into_iter().find(|path| path.is_file())?;
    let text = match text_file::read(&file, MAX_SIZE) {
        Ok(text) => text?,
        // In another encoding, or larger than anybody writes: Python will know.
        Err(_) => FUNCTION.to_owned(),
    };
    speaks_of_it(&text).then(|| Candidate {
        imports_airflow: text
            .lines()
            .any(|line| line.starts_with("import airflow") || line.starts_with("from airflow")),
        file,
    })
}

/// Whether the function may be defined by this text: its name is there, or everything of another
/// module is.
fn speaks_of_it(text: &str) -> bool {
    let stars = text.match_indices("import").any(|(at, import)| {
        let behind = text.get(at + import.len()..).unwrap_or_default();
        behind
            .trim_start_matches(|c: char| c.is_whitespace() || c == '\\')
            .starts_with('*')
    });
    stars || text.contains(FUNCTION)
}

/// Where a Python has what was installed into it, or by its user: as virtual environments, the usual
/// builds, and Debian's have it. Only the Python itself knows for sure, and it is asked when one of
/// these has the file.
fn site_packages(python: Option<&Path>, home: Option<&Path>) -> Vec<PathBuf> {
    let prefix = python.and_then(|python| python.parent()?.parent());
    let bases = prefix
        .into_iter()
        .flat_map(|prefix| [prefix.to_owned(), prefix.join("local")]);
    let bases = home
        .map(|home| home.join(".local"))
        .into_iter()
        .chain(bases);
    let mut found = Vec::new();
    for base in bases {
        for entry in fs::read_dir(base.join("lib"))
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.file_name().to_string_lossy().starts_with("python3") {
                let names = ["site-packages", "dist-packages"];
                found.extend(names.map(|name| entry.path().join(name)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_the_name_and_without_a_star_import_cannot_define_it() {
        for text in [
            "",
            "import os\nx = 2 * 3\n",
            "# import stars *\n",
            "important * 2",
        ] {
            assert!(!speaks_of_it(text), "{text}");
        }
        for text in [
            "def get_docker_runtime_image(image):\n",
            "from ours import get_docker_runtime_image\n",
            "from ours import *\n",
            "from ours import*\n",
            "from ours import \\\n    *\n",
        ] {
            assert!(speaks_of_it(text), "{text}");
        }
    }

    #[test]
    fn what_is_installed_is_found_beside_the_python() {
        let dir = tempfile::tempdir().unwrap();
        let site = dir.path().join("lib/python3.11/site-packages");
        fs::create_dir_all(&site).unwrap();
        fs::write(site.join("airflow_local_settings.py"), FUNCTION).unwrap();
        let places = Places {
            python_path: Vec::new(),
            appended: Vec::new(),
            dags: "/dags".into(),
            ignored: Vec::new(),
        };
        let python = dir.path().join("bin/python");
        let found = places.candidate(Some(&python), None).unwrap();
        assert_eq!(found.file, site.join("airflow_local_settings.py"));
    }
}
