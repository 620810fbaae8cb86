//! This test program once more, as a process of its own that may be killed.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use runtime::database::{Database, DatabaseConfig};

use crate::migrations::{Migrator, write};

/// Names the store of the other process; the roles below run only with it.
const URL: &str = "CHILD_STORE_URL";

/// A running process. Killed when dropped, as by `kill -9`.
pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts `role`, one of the ignored tests below, on the store at `url`.
    pub(crate) fn start(role: &str, url: &str) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .args(["--ignored", "--exact", "--nocapture", &format!("child::{role}")])
            .env(URL, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let lines = BufReader::new(child.stdout.take().expect("its output is ours")).lines();
        Self { child, lines }
    }

    /// The rest of its next line that begins with `word`; None when it has ended.
    pub(crate) fn next(&mut self, word: &str) -> Option<String> {
        self.lines.by_ref().map_while(Result::ok).find_map(|line| line.strip_prefix(word).map(str::to_owned))
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn store_of_the_parent() -> Database {
    #[expect(clippy::disallowed_methods, reason = "this is how the parent names it")]
    let url = std::env::var(URL).expect("started by another test");
    Database::open::<Migrator>(&DatabaseConfig::with_url(&url)).await.expect("the store opens")
}

#[tokio::test]
#[ignore = "a role for Process::start"]
async fn writes_until_it_is_killed() {
    let database = store_of_the_parent().await;
    for first in (1..).step_by(8) {
        // Eight at a time, so that they share commits.
        let writes = (first..first + 8).map(|id| {
            let database = &database;
            async move {
                write(database, id).await.expect("writes");
                println!("acknowledged {id}");
            }
        });
        futures_util::future::join_all(writes).await;
    }
}

#[tokio::test]
#[ignore = "a role for Process::start"]
async fn holds_the_store_until_it_is_killed() {
    let _database = store_of_the_parent().await;
    println!("holds it");
    std::future::pending::<()>().await;
}
