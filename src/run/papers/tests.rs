use super::*;
use crate::plan::fixture;

/// The papers of a detached run in a directory of the test's own, whose name we hold.
struct Run {
    _dir: tempfile::TempDir,
    state: State,
    record: Record,
    name: RunDir,
}

impl Run {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = State::new(dir.path().join("state"), dir.path().join("data"));
        let record = Record::fixture("a");
        let name = state.create(&record).unwrap();
        Self {
            _dir: dir,
            state,
            record,
            name,
        }
    }

    fn papers(&self, flags: &[(&str, &str)]) -> Papers {
        let plan = fixture::plan(flags);
        Papers::begin(
            &self.state,
            &self.name,
            &self.record,
            &plan,
            Holding::Detached,
        )
        .unwrap()
    }

    fn end(&self) -> Option<End> {
        End::read(&self.state.kept(&self.record.id)).unwrap()
    }
}

#[test]
fn an_end_is_known_before_anything_is_undone() {
    let run = Run::new();
    let papers = run.papers(&[]);
    assert!(run.end().is_none());
    papers.say_started(7).unwrap();
    papers.say_end(&Cause::Exited { code: 3 }).unwrap();
    drop(papers);
    owner_died(&run.state, &run.record).unwrap();
    let end = run.end().unwrap();
    assert_eq!((end.exit_code, end.lost), (3, None));
    assert!(end.ended_at.is_some());
}

#[test]
fn an_owner_that_died_without_a_word_leaves_a_run_that_is_lost() {
    let run = Run::new();
    run.papers(&[]).say_started(7).unwrap();
    owner_died(&run.state, &run.record).unwrap();
    let end = run.end().unwrap();
    assert_eq!(end.exit_code, 125);
    let died = format!("its owner, process {}, died", std::process::id());
    assert_eq!(end.lost.unwrap(), died);
    let later = run.papers(&[]);
    assert!(
        End::unseen(&later.about, "another boot")
            .unwrap()
            .lost
            .unwrap()
            .contains("anew")
    );
}

#[test]
fn after_a_power_cut_nobody_takes_a_run_for_one_that_was_not_started() {
    let mut run = Run::new();
    run.record.owner.boot_id = "another boot".into();
    run.papers(&[]);
    owner_died(&run.state, &run.record).unwrap();
    assert!(run.end().unwrap().lost.unwrap().contains("anew"));
}

#[test]
fn what_was_not_started_or_is_not_to_be_kept_is_removed() {
    let run = Run::new();
    for flags in [&[][..], &[("remove_container_after_exit", "true")]] {
        let papers = run.papers(flags);
        if !flags.is_empty() {
            papers.say_started(7).unwrap();
            papers.say_end(&Cause::Oom).unwrap();
        }
        drop(papers);
        owner_died(&run.state, &run.record).unwrap();
        assert!(!run.state.kept(&run.record.id).exists());
    }
}

#[test]
fn a_verdict_takes_the_room_that_is_there_already() {
    let run = Run::new();
    let papers = run.papers(&[]);
    let length = || papers.verdict.metadata().unwrap().len();
    assert_eq!(length(), 4096);
    papers.say_end(&Cause::Timeout).unwrap();
    papers.say_end(&Cause::Oom).unwrap();
    assert_eq!(length(), 4096);
    assert_eq!(run.end().unwrap().exit_code, 137);
}
