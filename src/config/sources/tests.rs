//! All sources together: the order in which they count, the origins, and that no author's file passes
//! the ceilings.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::super::image::final_image;
use super::super::keys::{KEYS, Merge, NAMES, find};
use super::super::layer::{Item, Origin};
use super::super::settings::{Settings, Surroundings};
use super::super::values::{
    IpcMode, MountSource, NetworkMode, PidMode, PidsLimit, Seccomp, SwapLimit, UtsMode,
};
use super::super::yaml;
use super::*;
use crate::spec::base::Base;
use crate::spec::capabilities::CapabilityName;
use oci_spec::runtime::{Capability, PosixRlimitType};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A host with an airflow.cfg, a volume file and a DAG file.
struct Host {
    dir: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Host {
    fn new(airflow_cfg: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("dag.py"), "").unwrap();
        let volumes = dir.path().join("volumes.yaml").display().to_string();
        let text = airflow_cfg.replace("VOLUMES_FILE", &volumes);
        fs::write(dir.path().join("airflow.cfg"), text).unwrap();
        let home = dir.path().display().to_string();
        Self {
            dir,
            variables: vec![("AIRFLOW_HOME".to_owned(), home)],
        }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn dag(&self) -> PathBuf {
        self.dir.path().join("dag.py")
    }

    fn variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    fn operator(&self, profile: Option<Profile>) -> Operator {
        let environment = self.variables.iter().cloned().collect();
        Operator::read(profile, Layer::default(), environment, Commands::Run).unwrap()
    }

    fn merged(&self, profile: Option<Profile>, flags: &Layer) -> Merged {
        let operator = self.operator(profile);
        assert!(operator.problems.is_empty(), "{:?}", operator.problems);
        let author = metadata::read_beside(&self.dag()).unwrap();
        stack(&operator, &author, flags).collected.merged
    }
}

fn flag(name: &str, text: &str) -> Layer {
    let mut layer = Layer::default();
    layer.say(find(name).unwrap(), text, Origin::Flag);
    layer
}

#[test]
fn each_source_counts_more_than_the_one_before() {
    let nothing = Layer::default();
    let mut host = Host::new("");
    let task = Some(Profile::TaskExecution);
    let origin = |host: &Host, profile, flags: &Layer| {
        let merged = host.merged(profile, flags);
        let item = merged.one("stop_timeout").unwrap().clone();
        let home = host.dir.path().display().to_string();
        let origin = item.origin.to_string().replace(&home, "");
        format!("{} {origin}", item.text)
    };
    assert_eq!(origin(&host, None, &nothing), "10 default");
    assert_eq!(
        origin(&host, task, &nothing),
        "20 default of task-execution"
    );
    let common = "[docker_runtime]\nSTOP_TIMEOUT = 1\n";
    host.write("airflow.cfg", common);
    assert_eq!(origin(&host, task, &nothing), "1 /airflow.cfg:2");
    let both = format!("{common}[task_execution_docker_runtime]\nstop_timeout = 2\n");
    host.write("airflow.cfg", &both);
    assert_eq!(origin(&host, task, &nothing), "2 /airflow.cfg:4");
    assert_eq!(
        origin(&host, Some(Profile::DagParsing), &nothing),
        "1 /airflow.cfg:2"
    );
    host.variable("AIRFLOW__DOCKER_RUNTIME__STOP_TIMEOUT", "3");
    let expected = "3 $AIRFLOW__DOCKER_RUNTIME__STOP_TIMEOUT";
    assert_eq!(origin(&host, task, &nothing), expected);
    let name = "AIRFLOW__TASK_EXECUTION_DOCKER_RUNTIME__STOP_TIMEOUT";
    host.variable(name, "4");
    assert_eq!(origin(&host, task, &nothing), format!("4 ${name}"));
    host.write(
        "dag.py.metadata.yaml",
        "docker_runtime:\n  stop_timeout: 5\n",
    );
    let expected = "5 /dag.py.metadata.yaml:2";
    assert_eq!(origin(&host, task, &nothing), expected);
    assert_eq!(origin(&host, task, &flag("stop_timeout", "6")), "6 flag");
}

#[test]
fn the_volume_file_stands_above_both_sections_and_below_variables() {
    let mut host = Host::new(
        "[docker_runtime]\nvolume_mount_yaml = VOLUMES_FILE\nVOLUMES =\n  /common:/a\n  /common:/b\n  /common:/c\n",
    );
    host.write("volumes.yaml", "- /file:/b\n- /file:/c\n- /file:/d\n");
    host.variable(
        "AIRFLOW__TASK_EXECUTION_DOCKER_RUNTIME__VOLUMES",
        "/variable:/c",
    );
    let merged = host.merged(Some(Profile::TaskExecution), &Layer::default());
    let mut volumes: Vec<_> = merged.all("volumes").map(|item| &item.text).collect();
    volumes.sort();
    assert_eq!(
        volumes,
        ["/common:/a", "/file:/b", "/file:/d", "/variable:/c"]
    );
}

#[test]
fn maps_of_a_section_belong_to_it() {
    let host = Host::new(
        "[docker_runtime_environment_variables]\na = 1\nb = 1\n[task_execution_docker_runtime_environment_variables]\nB = 2\n[task_execution_docker_runtime_labels]\nTeam = data\n",
    );
    let merged = host.merged(Some(Profile::TaskExecution), &Layer::default());
    let texts = |name| -> Vec<_> { merged.all(name).map(|item| item.text.as_str()).collect() };
    assert_eq!(texts("environments"), ["A=1", "B=2"]);
    assert_eq!(texts("labels"), ["Team=data"]);
}

#[test]
fn a_value_can_be_the_output_of_a_command() {
    let host = Host::new("[docker_runtime]\nimage_cmd = echo busybox:9\n");
    let merged = host.merged(Some(Profile::TaskExecution), &Layer::default());
    assert_eq!(merged.one("image").unwrap().text, "busybox:9");
    let environment = host.variables.iter().cloned().collect();
    let checked = Operator::read(None, Layer::default(), environment, Commands::Skip).unwrap();
    assert!(merge(&checked.layers).one("image").is_none());
}

#[test]
fn a_comment_behind_true_or_false_is_one_as_in_airflow() {
    let host = Host::new("[docker_runtime]\nREAD_ONLY = True # always\n");
    let merged = host.merged(Some(Profile::TaskExecution), &Layer::default());
    assert_eq!(merged.one("read_only").unwrap().text, "true");
}

#[test]
fn what_is_unknown_is_a_warning_with_its_line_and_the_nearest_name() {
    let host = Host::new(
        "[core]\ntask_execution_runtime = podman\n[docker_runtime]\nMEMRY = 1\n[docker_runtime_label]\na = b\n",
    );
    let operator = host.operator(Some(Profile::TaskExecution));
    let warnings: Vec<_> = operator
        .warnings
        .iter()
        .map(|warning| {
            let line = warning.place().unwrap().line.unwrap();
            format!(
                "{line}: {} {}",
                warning.message(),
                warning.hints().join(" ")
            )
        })
        .collect();
    assert_eq!(
        warnings,
        [
            "5: [docker_runtime_label] is no section of airtight's did you mean [docker_runtime_labels]?",
            "2: invalid value \"podman\" for [core] task_execution_runtime: it must be docker, or empty for off ",
            "4: [docker_runtime] memry is no runtime key did you mean MEMORY?",
        ]
    );
}

#[test]
fn a_limit_that_has_no_effect_is_a_warning() {
    let warnings = |config: &str| {
        let host = Host::new(config);
        let of_profiles = Profile::ALL.map(|profile| host.operator(Some(profile)).warnings);
        let messages = of_profiles.into_iter().flatten();
        messages
            .map(|warning| warning.message())
            .collect::<Vec<_>>()
    };
    let parsing = "[scheduler_dag_parsing_docker_runtime]\nMEMORY = 2g\n";
    assert_eq!(
        warnings(parsing),
        ["[scheduler_dag_parsing_docker_runtime] memory has no effect: dag-parsing has no limits"]
    );
    let none: [&str; 0] = [];
    for switched in ["LIMIT_RESOURCE = true", "LIMIT_RESOURCE = false"] {
        assert_eq!(warnings(&format!("{parsing}{switched}\n")), none);
    }
    let ceiling = "[docker_runtime_ceilings]\nMAX_CPUS = 2\n";
    assert_eq!(warnings(&format!("{parsing}{ceiling}")), none);
    let tasks = "[docker_runtime]\nMEMORY = 2g\n[task_execution_docker_runtime]\nCPUS = 2\n";
    assert_eq!(warnings(tasks), none);
}

#[test]
fn a_payload_without_a_limit_gets_the_operator_s_maximum() {
    let host = Host::new(
        "[docker_runtime]\nCPUS = 8\n[docker_runtime_ceilings]\nMAX_MEMORY = 1g\nMAX_CPUS = 2\nMAX_SHM_SIZE = 1g\nMAX_STOP_TIMEOUT = 5\nMAX_MEMORY_SWAP = 1g\n",
    );
    let shown = |merged: &Merged, name: &str| {
        merged
            .one(name)
            .map(|item| format!("{} {}", item.text, item.origin))
    };
    let merged = host.merged(Some(Profile::TaskExecution), &Layer::default());
    let ceiling = |name: &str| Some(format!("{name} of [docker_runtime_ceilings]"));
    assert_eq!(shown(&merged, "memory"), ceiling("1g MAX_MEMORY"));
    assert_eq!(shown(&merged, "memory_swap"), ceiling("1g MAX_MEMORY_SWAP"));
    assert_eq!(
        shown(&merged, "stop_timeout"),
        ceiling("5 MAX_STOP_TIMEOUT")
    );
    assert_eq!(shown(&merged, "shm_size"), None, "64 MiB is below");
    assert!(
        shown(&merged, "cpus").unwrap().starts_with("8 "),
        "the operator's own"
    );
    assert_eq!(shown(&merged, "timeout"), None, "no maximum");
    let parsing = host.merged(Some(Profile::DagParsing), &Layer::default());
    assert_eq!(
        shown(&parsing, "limit_resource"),
        ceiling("true MAX_MEMORY")
    );
    let more = host.merged(Some(Profile::TaskExecution), &flag("memory", "16g"));
    assert_eq!(shown(&more, "memory"), Some("16g flag".to_owned()));
    assert_eq!(
        shown(&more, "memory_swap"),
        None,
        "twice what the operator says"
    );
}

#[test]
fn memory_is_part_of_memory_and_swap_together() {
    let host = Host::new("[docker_runtime_ceilings]\nMAX_MEMORY_SWAP = 8g\n");
    host.write("dag.py.metadata.yaml", "docker_runtime: {memory: 16g}\n");
    let author = metadata::read_beside(&host.dag()).unwrap();
    let operator = host.operator(Some(Profile::TaskExecution));
    let refusals = stack(&operator, &author, &Layer::default()).refusals;
    assert!(
        refusals[0].to_string().contains("MAX_MEMORY_SWAP = 8g"),
        "{refusals:?}"
    );
}

#[test]
fn a_tag_that_names_nothing_is_refused() {
    let host = Host::new("[docker_runtime]\nIMAGE = a:1\nCONTAINER_TAG = 7\n");
    let refused = |text: &str| {
        host.write("dag.py.metadata.yaml", text);
        let merged = host.merged(Some(Profile::TaskExecution), &Layer::default());
        Settings::parse(&merged, Vec::new(), &Surroundings::default()).is_err()
    };
    assert!(refused("docker_runtime: {container_tag: '2'}\n"));
    assert!(!refused("docker_runtime: {image: b}\n"));
    assert!(!refused(
        "docker_runtime: {container_repository: b, container_tag: '2'}\n"
    ));
}

/// Anything an author might write for a key.
fn value() -> impl Strategy<Value = String> {
    let words = [
        "host",
        "true",
        "false",
        "null",
        "0",
        "-1",
        "5g",
        "ALL",
        "SYS_ADMIN",
        "/etc",
        "'/:/h'",
        "['/:/h']",
        "[ALL]",
        "[/dev/sda]",
        "{A: b}",
        "[A]",
        "'container:x'",
        "root",
        "1000",
        "[seccomp=unconfined]",
        "none",
        "'type=bind,source=/,target=/h'",
        "['type=bind,source=/,target=/h']",
        "[]",
        "[rtprio=99]",
        "[nerdctl/state-dir=/etc]",
        "[NET_RAW]",
        "[/dev]",
        "['/proc/sys:ro']",
        "~",
        "1e3",
        "on",
    ];
    proptest::sample::select(words.to_vec()).prop_map(str::to_owned)
}

const CEILINGS: &str = "\
[docker_runtime]
IMAGE = a:1
RUN_AS_USER = airflow
CAP_DROP = NET_RAW
INIT = true
LIMIT_RESOURCE = true
STOP_TIMEOUT = 9
[docker_runtime_ceilings]
MAX_MEMORY = 2g
MAX_MEMORY_SWAP = 3g
MAX_CPUS = 1
MAX_PIDS_LIMIT = 100
MAX_SHM_SIZE = 128m
MAX_TIMEOUT = 1h
MAX_STOP_TIMEOUT = 30
";

proptest! {
    #[test]
    fn no_metadata_file_ever_passes_the_ceilings(
        said in proptest::collection::btree_map(select(NAMES.to_vec()), value(), 0..6),
        profile in select(Profile::ALL.to_vec())
    ) {
        let body: Vec<_> = said.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let text = format!("docker_runtime: {{{}}}", body.join(", "));
        let Ok(author) = yaml::body(&text, "d.yaml".into()) else { return Ok(()) };
        let operator = Host::new(CEILINGS).operator(Some(profile));
        let stacked = stack(&operator, &author, &Layer::default());
        if !stacked.refusals.is_empty() {
            return Ok(());
        }
        prop_assert!(stacked.collected.root_forbidden || author.layer.said().is_empty());
        let merged = &stacked.collected.merged;
        let Ok(settings) = Settings::parse(merged, Vec::new(), &Surroundings::default()) else { return Ok(()) };
        prop_assert!(!settings.privileged && settings.devices.is_empty() && settings.sysctls.is_empty());
        prop_assert!(settings.pid_mode == PidMode::Private && settings.uts_mode == UtsMode::Private);
        prop_assert!(settings.ipc_mode != IpcMode::Host && settings.network_mode != NetworkMode::Host);
        prop_assert!(matches!(settings.security.seccomp, Seccomp::Default));
        let limits = &settings.limits;
        prop_assert!(limits.memory.is_some_and(|memory| memory.0 > 0 && memory.0 <= 2 << 30));
        let with_swap = match limits.memory_swap {
            Some(SwapLimit::Total(bytes)) => bytes.0,
            Some(SwapLimit::Unlimited) => u64::MAX,
            None => limits.memory.map_or(u64::MAX, |memory| 2 * memory.0),
        };
        prop_assert!(with_swap > 0 && with_swap <= 3 << 30);
        prop_assert!(limits.cpus.is_some_and(|cpus| cpus.thousandths <= 1000));
        prop_assert!(matches!(limits.pids, Some(PidsLimit::Most(most)) if most <= 100));
        prop_assert!(settings.shm_size.is_none_or(|size| size.0 > 0 && size.0 <= 128 << 20));
        prop_assert!(settings.timeout.is_some_and(|limit| limit.as_secs() <= 3600));
        prop_assert!(settings.stop_timeout.as_secs() <= 30);
        prop_assert!(settings.init && settings.runtime == "io.containerd.runc.v2" && settings.runtime_binary.is_none());
        prop_assert!(settings.cgroup_mount_path == "/sys/fs/cgroup" && settings.pass_fds.is_empty());
        let is_bind = |mount: &crate::config::values::Mount| matches!(mount.source, MountSource::Bind { .. });
        prop_assert!(!settings.mounts.iter().any(is_bind));
        let in_the_way = |target: &str| ["/dev", "/proc/sys"].contains(&target);
        prop_assert!(!settings.mounts.iter().any(|mount| in_the_way(&mount.target)));
        prop_assert!(!settings.labels.iter().any(|label| label.name.starts_with("nerdctl/")));
        prop_assert!(!settings.ulimits.iter().any(|limit| limit.kind == PosixRlimitType::RlimitRtprio));
        prop_assert!(!settings.capabilities.add.contains(&CapabilityName::One(Capability::NetRaw)));
        prop_assert!(!settings.capabilities.drop.is_empty());
        prop_assert!(settings.capabilities.add.iter().all(|cap| matches!(cap, CapabilityName::One(cap) if Base::builtin().capabilities.contains(cap))));
        prop_assert!(final_image(merged).is_some());
    }

    /// Against the plainest model there is: one layer after the other, one thing after the other.
    #[test]
    fn every_value_has_the_origin_of_the_highest_layer_that_says_it(
        layers in proptest::collection::vec(proptest::collection::vec(any::<(Index, u8, u8)>(), 0..12), 1..5)
    ) {
        let mut model: BTreeMap<(&str, String), String> = BTreeMap::new();
        let mut built = Vec::new();
        for (number, sayings) in layers.iter().enumerate() {
            let mut layer = Layer::default();
            let mut here: BTreeMap<(&str, String), String> = BTreeMap::new();
            for (index, name, what) in sayings {
                let key = &KEYS[index.index(KEYS.len())];
                let origin = Origin::Variable(format!("L{number}"));
                let item = match key.merge {
                    Merge::Replace => String::new(),
                    Merge::ByName => format!("n{}", name % 3),
                    // Two of a target in one layer are for Settings to refuse.
                    Merge::Append | Merge::ByTarget => continue,
                };
                match (key.merge, what % 5) {
                    (_, 0) => {
                        layer.clear(key, origin);
                        model.retain(|(said, _), _| *said != key.name);
                    }
                    (Merge::ByName, 1) => {
                        layer.remove(key, item.clone(), origin);
                        model.remove(&(key.name, item));
                    }
                    _ => {
                        layer.say(key, format!("{item}={number}"), origin);
                        here.insert((key.name, item), format!("L{number}"));
                    }
                }
            }
            model.extend(here);
            built.push(layer);
        }
        let merged = merge(&built);
        let identity = |item: &Item| match item.key.merge {
            Merge::Replace => String::new(),
            _ => item.text.split('=').next().unwrap_or_default().to_owned(),
        };
        let found: BTreeMap<_, _> = merged
            .items()
            .map(|item| ((item.key.name, identity(item)), item.origin.to_string().replace('$', "")))
            .collect();
        prop_assert_eq!(found, model);
        prop_assert_eq!(format!("{merged:?}"), format!("{:?}", merge(&built)), "merging is deterministic");
    }
}
