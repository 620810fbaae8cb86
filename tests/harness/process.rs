//! The programs as processes: built as they are, started, read, signalled and killed.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a program may take for anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that runs, with its log.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
    /// Every line of its log that was read so far.
    pub log: Vec<String>,
    /// Where it listens, by the name of the listener.
    pub listeners: HashMap<String, SocketAddr>,
}

impl Program {
    /// Starts `name` with these variables in `folder`, and waits until it listens at `listeners` places.
    pub fn start(name: &str, folder: &Path, environment: &[(&str, &str)], listeners: usize) -> Self {
        let mut program = Self::spawn(name, folder, environment);
        program.await_listeners(listeners);
        program
    }

    /// Waits until it listens at so many places.
    pub fn await_listeners(&mut self, listeners: usize) {
        while self.listeners.len() < listeners {
            let line = self.next_line().unwrap_or_else(|| panic!("it ended: {:#?}", self.log));
            self.note_listener(&line);
        }
    }

    /// Starts `name` and waits for nothing.
    pub fn spawn(name: &str, folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(program(name))
            .current_dir(folder)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let (sender, lines) = channel();
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        for output in [Box::new(stdout) as Box<dyn std::io::Read + Send>, Box::new(stderr)] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Self { child, lines, log: Vec::new(), listeners: HashMap::new() }
    }

    /// The next line of its log; `None` when it has closed its output.
    pub fn next_line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.log.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no word for {PATIENCE:?}: {:#?}", self.log),
        }
    }

    /// Sends a signal by its name, `TERM`.
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(done.expect("kill runs").success());
    }

    /// Ends it without warning, as a crash or `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// The memory that it holds now, in bytes.
    #[cfg(target_os = "linux")]
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") * 1_024
    }

    /// Reads its log to the end and waits for its exit.
    pub fn wait(&mut self) -> ExitStatus {
        while self.next_line().is_some() {}
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status;
            }
            assert!(Instant::now() < deadline, "it closed its output and did not exit");
            std::thread::yield_now();
        }
    }

    fn note_listener(&mut self, line: &str) {
        let Ok(entry) = serde_json::from_str::<serde_json::Value>(line) else { return };
        let field = |name: &str| entry.get(name).or_else(|| entry.get("fields")?.get(name))?.as_str();
        let Some(address) = field("message").and_then(|message| message.strip_prefix("listening ")) else { return };
        let name = field("listener").expect("a listener has a name").to_owned();
        self.listeners.insert(name, address.parse().expect("an address"));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The path of a program of this workspace, built anew if its sources have changed.
pub fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--locked", "--workspace", "--bins", "--quiet"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .status();
        assert!(built.expect("cargo runs").success(), "the programs do not build");
        let test = std::env::current_exe().expect("this test has a path");
        test.ancestors().nth(2).expect("target/debug/deps/e2e").to_owned()
    });
    folder.join(name)
}
