use super::*;

const SECOND: Duration = Duration::from_secs(1);

const LIMITS: Limits = Limits {
    most: 2,
    start: SECOND,
    idle: Duration::from_secs(10),
    files: 3,
    age: Duration::from_secs(100),
};

/// A pool with a clock that is set by hand.
struct Tried {
    pool: Pool,
    now: Instant,
}

impl Tried {
    fn new() -> Self {
        Self {
            pool: Pool::new(LIMITS),
            now: Instant::now(),
        }
    }

    fn ask(&mut self, file: &str, key: &str, sharing: Sharing) -> Seat {
        let wish = Wish {
            key: Digest::of(key.as_bytes()),
            file: Path::new(file),
            sharing,
        };
        self.pool.seat(wish, self.now)
    }

    fn seat(&mut self, file: &str, key: &str) -> Seat {
        self.ask(file, key, Sharing::Warm)
    }

    fn leave(&mut self, number: Number) {
        self.pool.leave(number, self.now);
    }

    fn endings(&mut self) -> Vec<Number> {
        self.pool.endings(self.now)
    }
}

#[test]
fn files_with_one_key_share_a_container_and_others_do_not() {
    let mut tried = Tried::new();
    assert_eq!(tried.seat("a", "k"), Seat::New(1));
    assert_eq!(tried.seat("b", "k"), Seat::In(1));
    assert_eq!(tried.seat("c", "other"), Seat::New(2));
}

#[test]
fn a_cold_file_shares_a_container_with_nobody() {
    let mut tried = Tried::new();
    assert_eq!(tried.ask("a", "k", Sharing::Cold), Seat::New(1));
    assert_eq!(tried.seat("b", "k"), Seat::New(2));
    tried.leave(1);
    assert_eq!(tried.endings(), [1]);
}

#[test]
fn a_container_takes_so_many_files_and_ends_with_the_last_of_them() {
    let mut tried = Tried::new();
    for file in ["a", "b", "c"] {
        tried.seat(file, "k");
    }
    assert_eq!(tried.seat("d", "k"), Seat::New(2));
    tried.leave(1);
    tried.leave(1);
    assert!(tried.endings().is_empty());
    tried.leave(1);
    assert_eq!(tried.endings(), [1]);
    assert!(tried.endings().is_empty(), "it is told once");
}

#[test]
fn an_idle_container_ends_after_a_while_and_one_at_work_does_not() {
    let mut tried = Tried::new();
    tried.seat("a", "k");
    tried.now += 50 * SECOND;
    assert!(tried.endings().is_empty());
    assert_eq!(tried.pool.next(), None);
    tried.leave(1);
    assert_eq!(tried.pool.next(), Some(tried.now + LIMITS.idle));
    tried.now += LIMITS.idle;
    assert_eq!(tried.endings(), [1]);
}

#[test]
fn an_old_container_takes_no_more_files() {
    let mut tried = Tried::new();
    tried.seat("a", "k");
    tried.now += LIMITS.age;
    assert_eq!(tried.seat("b", "k"), Seat::New(2));
    assert!(tried.endings().is_empty());
    tried.leave(1);
    assert_eq!(tried.endings(), [1]);
}

#[test]
fn a_container_whose_files_all_need_another_now_ends() {
    let mut tried = Tried::new();
    tried.seat("a", "old");
    tried.seat("b", "old");
    tried.leave(1);
    tried.leave(1);
    assert_eq!(tried.seat("a", "new"), Seat::New(2));
    assert!(tried.endings().is_empty(), "b may still need it");
    assert_eq!(tried.seat("b", "new"), Seat::In(2));
    assert_eq!(tried.endings(), [1]);
}

#[test]
fn the_container_that_is_idle_longest_makes_room_for_another() {
    let mut tried = Tried::new();
    tried.seat("a", "k1");
    tried.seat("b", "k2");
    tried.leave(2);
    tried.now += SECOND;
    tried.leave(1);
    assert_eq!(tried.seat("c", "k3"), Seat::Wait);
    assert_eq!(tried.endings(), [2]);
    assert_eq!(tried.seat("c", "k3"), Seat::Wait, "it is not gone yet");
    assert!(tried.endings().is_empty(), "one is enough");
    tried.pool.gone(2);
    assert_eq!(tried.seat("c", "k3"), Seat::New(3));
}

#[test]
fn where_all_are_at_work_the_oldest_takes_no_more_files() {
    let mut tried = Tried::new();
    tried.seat("a", "k1");
    tried.now += SECOND;
    tried.seat("b", "k2");
    assert_eq!(tried.seat("c", "k3"), Seat::Wait);
    assert_eq!(tried.seat("d", "k1"), Seat::Wait);
    assert_eq!(tried.seat("e", "k2"), Seat::In(2));
    tried.leave(1);
    assert_eq!(tried.endings(), [1]);
}

#[test]
fn a_container_that_died_is_not_used_again() {
    let mut tried = Tried::new();
    tried.seat("a", "k");
    tried.pool.gone(1);
    assert_eq!(tried.seat("a", "k"), Seat::New(2));
}

#[test]
fn a_container_that_was_given_up_takes_no_more_files_and_counts_until_it_is_gone() {
    let mut tried = Tried::new();
    tried.seat("a", "k");
    tried.pool.retire(1);
    assert_eq!(tried.seat("b", "k"), Seat::New(2));
    assert_eq!(tried.seat("c", "other"), Seat::Wait);
    tried.leave(1);
    assert_eq!(tried.endings(), [1]);
    tried.pool.gone(1);
    assert_eq!(tried.seat("c", "other"), Seat::New(3));
}
