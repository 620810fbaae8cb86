//! The measured programs as processes: built, started, asked for what they cost, and stopped.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Failure;

/// How long a program may take to start, to become ready and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// Clock ticks per second in `/proc`: Linux says 100 to user space on every architecture.
const TICKS_PER_SECOND: u64 = 100;

/// Builds every program of the workspace, as it is released, and returns the folder where they are.
///
/// # Errors
/// If the build fails.
pub(crate) fn build() -> Result<PathBuf, Failure> {
    // Asked before the build, which may put another file in the place of this program's.
    let own = std::env::current_exe()?;
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--workspace", "--bins"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()?;
    if !status.success() {
        return Err("the programs do not build".into());
    }
    Ok(own.parent().ok_or("a program lies in a folder")?.to_owned())
}

/// A running program. Killed when dropped.
pub(crate) struct Program {
    child: Child,
    /// Where it listens, by the name of the listener.
    listeners: HashMap<String, SocketAddr>,
}

impl Program {
    /// Starts a program in `folder` with only these variables, and returns when it has said where it listens for each
    /// of `listeners`.
    ///
    /// # Errors
    /// If it ends before that.
    pub(crate) fn start(
        path: &Path,
        arguments: &[&str],
        folder: &Path,
        environment: &[(&str, &str)],
        listeners: &[&str],
    ) -> Result<Self, Failure> {
        let mut child = Command::new(path)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let output = child.stdout.take().expect("it is piped");
        let mut program = Self { child, listeners: HashMap::new() };
        program.await_listeners(BufReader::new(output), listeners).map_err(|error| {
            format!("{} did not start: {error}", path.display()) // its own words are on standard error
        })?;
        Ok(program)
    }

    /// Where it listens for what `listener` names.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        self.listeners[listener]
    }

    /// Waits until its operations listener calls it ready.
    ///
    /// # Errors
    /// If that takes longer than a minute.
    pub(crate) fn await_ready(&self) -> Result<(), Failure> {
        await_ready(self.address("operations"))
    }

    /// Processor time that it has used so far, to 10 ms.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn processor_time(&self) -> Result<Duration, Failure> {
        // Fields 14 and 15 of proc_pid_stat(5), counted after the program's name, which may contain anything.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("an unknown /proc/PID/stat")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * (1000 / TICKS_PER_SECOND)))
    }

    /// Memory that it has in use, in bytes.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn memory(&self) -> Result<u64, Failure> {
        self.status_field("VmRSS:")
    }

    /// The most memory that it has had in use since it started, in bytes.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn peak_memory(&self) -> Result<u64, Failure> {
        self.status_field("VmHWM:")
    }

    /// Asks it to stop and waits for its end.
    ///
    /// # Errors
    /// If it does not end within a minute, or with an error.
    pub(crate) fn stop(&mut self) -> Result<(), Failure> {
        Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() { Ok(()) } else { Err(format!("ended with {status}").into()) };
            }
            thread::sleep(Duration::from_millis(5));
        }
        Err("a program did not stop".into())
    }

    fn await_listeners(&mut self, mut output: BufReader<ChildStdout>, listeners: &[&str]) -> Result<(), Failure> {
        let mut line = String::new();
        while !listeners.iter().all(|listener| self.listeners.contains_key(*listener)) {
            line.clear();
            if output.read_line(&mut line)? == 0 {
                return Err("it closed its output".into());
            }
            if let Some((listener, address)) = listening(&line) {
                self.listeners.insert(listener, address);
            }
        }
        // A full pipe would stop it.
        thread::spawn(move || io::copy(&mut output, &mut io::sink()));
        Ok(())
    }

    fn status_field(&self, field: &str) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("an unknown /proc/PID/status")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail if it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The name and the address in a log line that says where a listener listens.
fn listening(line: &str) -> Option<(String, SocketAddr)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| line.get(name).or_else(|| line.get("fields")?.get(name))?.as_str();
    let address = field("message")?.strip_prefix("listening ")?.parse().ok()?;
    Some((field("listener")?.to_owned(), address))
}

/// Waits until this operations listener calls its service ready.
///
/// # Errors
/// If that takes longer than a minute.
pub(crate) fn await_ready(operations: SocketAddr) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while !is_ready(operations)? {
        if Instant::now() > deadline {
            return Err("a service did not become ready".into());
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn is_ready(operations: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(operations)?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_in_the_log_whether_fields_are_nested_or_not() {
        let address = "127.0.0.1:50051".parse().unwrap();
        for line in [
            r#"{"message":"listening 127.0.0.1:50051","listener":"auth"}"#,
            r#"{"level":"INFO","fields":{"message":"listening 127.0.0.1:50051","listener":"auth"}}"#,
        ] {
            assert_eq!(listening(line), Some(("auth".to_owned(), address)), "{line}");
        }
        for line in ["", "listening 127.0.0.1:50051", r#"{"message":"listening to nobody","listener":"auth"}"#] {
            assert_eq!(listening(line), None, "{line}");
        }
    }
}
