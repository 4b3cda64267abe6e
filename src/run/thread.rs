//! Work on a thread of its own, whose mount namespace it may leave: that ends with the thread.

use std::thread;

use tokio::sync::oneshot;

use crate::failure::{Context, Kind, Result};

/// Does `work` on a new thread called `name`, and returns what it returns.
pub async fn on_a_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (answer, answered) = oneshot::channel();
    thread::Builder::new()
        .name(name.to_owned())
        // The receiver is gone only when the run is given up.
        .spawn(move || drop(answer.send(work())))
        .or_fail(Kind::Host, || "cannot start a thread")?;
    answered
        .await
        .or_fail(Kind::Host, || format!("the thread {name} ended early"))?
}
