//! From what a person named to what came of each file.
//!
//! In: paths, flags. Out: an [`Outcome`] for each file, in the order of their names. Files are asked of a
//! keeper in this process, as the DAG processor asks one in another.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use super::serve;
use crate::airflow::crossing::read_only;
use crate::cli::{Globals, interrupt, out};
use crate::config::airflow_cfg::{AirflowConfig, Environment, variable_name};
use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;
use crate::leash::watch;
use crate::packet;
use crate::parse::client::{self, Parsed};
use crate::parse::discover::{self, Rules};
use crate::parse::inside;
use crate::parse::message::Order;
use crate::parse::pool::Limits;

/// What somebody wants to know.
pub struct Wish {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// `--bundle`.
    pub bundle: Option<PathBuf>,
    /// How many at once.
    pub jobs: Option<usize>,
    /// For one file.
    pub timeout: Option<Duration>,
    /// A container for each.
    pub cold: bool,
    /// Further flags of `airtight run`.
    pub flags: Vec<String>,
}

/// What came of one file.
pub struct Outcome {
    /// The file.
    pub file: PathBuf,
    /// The root of its modules.
    pub bundle: PathBuf,
    /// What its process said and how it ended.
    pub parsed: Parsed,
    /// From asking to the end, the start of its container included.
    pub took: Duration,
}

/// Has all of them parsed.
pub async fn parse(wish: &Wish, globals: &Globals, limits: Limits) -> Result<Vec<Outcome>> {
    let config = AirflowConfig::found(Environment::of_this_process())?;
    let files = find(wish, &config)?;
    let directory = globals
        .state
        .create_without_record(&ContainerId::random()?)?;
    let outcomes = parse_in(directory.path(), wish, &config, files, globals, limits).await;
    // A directory that stays is removed by the next command; what was parsed counts more.
    if let Err(left) = directory.remove() {
        out::tell(format_args!("left over: {left}"));
    }
    outcomes
}

async fn parse_in(
    directory: &Path,
    wish: &Wish,
    config: &AirflowConfig,
    files: BTreeMap<PathBuf, PathBuf>,
    globals: &Globals,
    limits: Limits,
) -> Result<Vec<Outcome>> {
    let shared = Shared::new(inside::write_into(directory)?, config)?;
    let (ours, theirs) = packet::pair().or_fail(Kind::Host, || "cannot make a socket")?;
    let told = RefCell::new(BTreeSet::new());
    let say = |line: &str| {
        // Of many containers each says it; what else they say is the reason where one of them fails.
        if line.starts_with("airtight: warning: ") && told.borrow_mut().insert(line.to_owned()) {
            out::tell(line.trim_start_matches("airtight: "));
        }
    };
    let keeper = serve::keep(theirs, globals, limits, say, std::future::pending());
    let work = async {
        // With the last of them our end of the socket goes, and the keeper.
        let ours = Arc::new(watch::watch_both(ours).or_fail(Kind::Host, || "cannot ask")?);
        tokio::select! {
            outcomes = all(ours, wish, &shared, by_settings(files)) => outcomes,
            interrupted = interrupt::interrupted("airtight parse") => Err(interrupted),
        }
    };
    let (kept, outcomes) = tokio::join!(keeper, work);
    kept.and(outcomes)
}

/// What all files have in common.
struct Shared {
    mounts: Vec<String>,
    variables: BTreeMap<String, String>,
    arguments: Vec<String>,
}

impl Shared {
    /// The operator's own code, which DAG files and policies import, is where the DAG processor has it.
    fn new(programs: PathBuf, config: &AirflowConfig) -> Result<Self> {
        let mut shared = Self {
            mounts: vec![read_only(&programs, Path::new(inside::PLACE))?],
            variables: BTreeMap::new(),
            arguments: Vec::new(),
        };
        let plugins = config.folder("core", "plugins_folder", "plugins")?;
        let code = [config.absolute_home()?.join("config"), plugins.clone()];
        for directory in code.into_iter().filter(|path| path.is_dir()) {
            shared.mounts.push(read_only(&directory, &directory)?);
            shared.arguments.push(text(&directory)?);
        }
        let name = variable_name("core", "plugins_folder");
        shared.variables.insert(name, text(&plugins)?);
        let name = variable_name("core", "load_examples");
        shared.variables.insert(name, "False".to_owned());
        Ok(shared)
    }

    fn order(&self, file: &Path, bundle: &Path, wish: &Wish) -> Result<Order> {
        let mut order = Order {
            file: file.to_owned(),
            mounts: self.mounts.clone(),
            variables: self.variables.clone(),
            labels: BTreeMap::new(),
            flags: wish.flags.clone(),
            airflow_2: false,
            program: inside::PROGRAM.to_owned(),
            arguments: self.arguments.clone(),
            job: json!({"file": text(file)?, "bundle": text(bundle)?}),
            cold: wish.cold,
            timeout: wish.timeout,
        };
        order.mounts.push(read_only(bundle, bundle)?);
        let name = variable_name("core", "dags_folder");
        order.variables.insert(name, text(bundle)?);
        Ok(order)
    }
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| {
        Failure::usage(format!("cannot parse {}", path.display())).because("its name is not UTF-8")
    })
}

async fn all(
    keeper: Arc<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>>,
    wish: &Wish,
    shared: &Shared,
    files: Vec<(PathBuf, PathBuf)>,
) -> Result<Vec<Outcome>> {
    let at_once = wish.jobs.unwrap_or(1);
    let mut running = JoinSet::new();
    let mut outcomes = Vec::new();
    for (file, bundle) in files {
        while running.len() >= at_once
            && let Some(done) = running.join_next().await
        {
            outcomes.push(done.or_fail(Kind::Host, || "a file was lost")??);
        }
        let order = shared.order(&file, &bundle, wish)?;
        let keeper = Arc::clone(&keeper);
        running.spawn(async move {
            let began = Instant::now();
            let parsed = client::parse(&keeper, &order).await?;
            Ok::<_, Failure>(Outcome {
                file,
                bundle,
                parsed,
                took: began.elapsed(),
            })
        });
    }
    drop(keeper);
    while let Some(done) = running.join_next().await {
        outcomes.push(done.or_fail(Kind::Host, || "a file was lost")??);
    }
    outcomes.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(outcomes)
}

/// Files whose containers are likely to be the same follow each other, so that no container has to make
/// room for another and is started again.
fn by_settings(files: BTreeMap<PathBuf, PathBuf>) -> Vec<(PathBuf, PathBuf)> {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by_cached_key(|(file, bundle)| {
        let mut beside = file.clone().into_os_string();
        beside.push(".metadata.yaml");
        let metadata = crate::regular_file::read(Path::new(&beside), 1 << 20);
        (bundle.clone(), metadata.unwrap_or_default())
    });
    files
}

/// Every file, and the root of its modules.
fn find(wish: &Wish, config: &AirflowConfig) -> Result<BTreeMap<PathBuf, PathBuf>> {
    let rules = Rules::of(config)?;
    let bundle = wish.bundle.as_deref().map(absolute).transpose()?;
    let dags = config.folder("core", "dags_folder", "dags")?;
    let mut files = BTreeMap::new();
    for path in &wish.paths {
        let path = absolute(path)?;
        let cannot = || format!("cannot parse {}", path.display());
        let found = std::fs::metadata(&path).or_fail(Kind::Usage, cannot)?;
        let own = match found.is_dir() {
            true => path.as_path(),
            false => path.parent().unwrap_or(&path),
        };
        let root = match &bundle {
            Some(bundle) if path.starts_with(bundle) => bundle,
            Some(bundle) => {
                let why = format!("it is not in the bundle {}", bundle.display());
                return Err(Failure::usage(cannot()).because(why));
            }
            None if path.starts_with(&dags) => dags.as_path(),
            None => own,
        };
        if found.is_dir() {
            let below = discover::dag_files(&path, root, rules)?;
            for skipped in &below.skipped {
                out::tell(format_args!("warning: {skipped}"));
            }
            files.extend(below.files.into_iter().map(|file| (file, root.to_owned())));
        } else {
            files.insert(path.clone(), root.to_owned());
        }
    }
    if files.is_empty() {
        return Err(Failure::usage("there is no DAG file there")
            .hint("Airflow takes Python files that speak of airflow and dag, and .airflowignore leaves some out; a file that is named itself is parsed in any case"));
    }
    Ok(files)
}

/// Without `.` and `..`, as the container has no working directory to be relative to. A file that is a link
/// stays one: its metadata file lies beside the name, not beside what it leads to.
fn absolute(path: &Path) -> Result<PathBuf> {
    let cannot = || format!("cannot parse {}", path.display());
    let absolute = std::path::absolute(path).or_fail(Kind::Usage, cannot)?;
    let upwards = absolute
        .components()
        .any(|part| part == Component::ParentDir);
    let resolved = match (absolute.parent(), absolute.file_name()) {
        _ if !upwards => return Ok(absolute),
        (Some(parent), Some(name)) => parent.canonicalize().map(|parent| parent.join(name)),
        // It ends with `..`.
        _ => absolute.canonicalize(),
    };
    resolved.or_fail(Kind::Usage, cannot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_that_is_a_link_keeps_its_name_however_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for folder in ["links", "other"] {
            std::fs::create_dir(dir.join(folder)).unwrap();
        }
        std::fs::write(dir.join("other/real.py"), "").unwrap();
        let link = dir.join("links/link.py");
        symlink("../other/real.py", &link).unwrap();
        assert_eq!(absolute(&link).unwrap(), link);
        assert_eq!(absolute(&dir.join("other/../links/link.py")).unwrap(), link);
        assert_eq!(absolute(&dir.join("links/..")).unwrap(), dir);
        assert!(absolute(&dir.join("none/../x.py")).is_err());
    }
}
