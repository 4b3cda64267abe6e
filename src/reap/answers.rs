//! Which containerds answer: each is asked once, for one that hangs is waited for.

use std::collections::HashMap;
use std::time::Duration;

use crate::containerd::{Client, Result};

/// A containerd that is well answers within milliseconds, on a busy disk within a second or two.
const LIMIT: Duration = Duration::from_secs(5);

/// What is known of containerds, by their addresses.
#[derive(Default)]
pub struct Answers(HashMap<String, Result<()>>);

impl Answers {
    /// Whether the containerd of `client`, at `address`, answers.
    pub async fn of(&mut self, address: &str, client: &Client) -> Result<()> {
        if let Some(known) = self.0.get(address) {
            return known.clone();
        }
        let answer = client.answers_within(LIMIT, address).await;
        self.0.insert(address.to_owned(), answer.clone());
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_containerd_is_asked_once() {
        let dir = tempfile::tempdir().unwrap();
        let address = dir.path().join("c.sock").display().to_string();
        let client = Client::new(&address, "airtight").unwrap();
        let mut answers = Answers::default();
        assert!(answers.of(&address, &client).await.is_err());
        // It comes, and never says a word.
        let listener = std::os::unix::net::UnixListener::bind(&address).unwrap();
        assert!(answers.of(&address, &client).await.is_err());
        listener.set_nonblocking(true).unwrap();
        let called = listener.accept().map(drop).unwrap_err();
        assert_eq!(called.kind(), std::io::ErrorKind::WouldBlock);
    }
}
