//! A program that a test runs and reads line by line.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

/// A child process, killed and reaped when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    output: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts `command` with both outputs read, and its standard input open until it is dropped:
    /// the scripts beside this file end with it.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
        let (sender, lines) = channel();
        let output = Arc::default();
        let stdout = child.stdout.take().expect("it was piped");
        let stderr = child.stderr.take().expect("it was piped");
        let readers = vec![
            read(stdout, sender.clone(), Arc::clone(&output)),
            read(stderr, sender, Arc::clone(&output)),
        ];
        Self { child, lines, output, readers }
    }

    /// The first line, from either output, that `wanted` makes something of.
    ///
    /// # Panics
    /// At the deadline, and when the program ends before such a line; with all that it wrote.
    pub(crate) fn wait_for<T>(&self, deadline: Instant, wanted: impl Fn(&str) -> Option<T>) -> T {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|end| {
                panic!("the line didn't come ({end}); all that came:\n{}", self.output())
            });
            if let Some(found) = wanted(&line) {
                return found;
            }
        }
    }

    /// All that it wrote so far, on both outputs.
    pub(crate) fn output(&self) -> String {
        self.output.lock().expect("a reader doesn't panic").clone()
    }

    /// Writes a line to its standard input.
    pub(crate) fn say(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("it was piped");
        // It may have ended; whoever waits for what it does next sees that, with its output.
        let _ = writeln!(stdin, "{line}");
    }

    /// Ends it at once, and waits until its sockets are closed.
    pub(crate) fn kill(&mut self) {
        // Both fail only when it has ended already, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends the signal to this process alone.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, "--", &id]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -s {name} failed");
    }

    /// Reads both outputs to their end: the program has ended, or closed them.
    ///
    /// # Panics
    /// At the deadline, with all that it wrote.
    pub(crate) fn finish(mut self, deadline: Instant) -> (ExitStatus, String) {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(_) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(end) => panic!("it goes on ({end}); all that came:\n{}", self.output()),
            }
        }
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader doesn't panic");
        }
        (self.child.wait().expect("it is ours"), self.output())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read(
    from: impl Read + Send + 'static,
    lines: Sender<String>,
    output: Arc<Mutex<String>>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { return };
            let mut all = output.lock().expect("a reader doesn't panic");
            all.push_str(&line);
            all.push('\n');
            drop(all);
            // Nobody waits for a line any more; the output is still wanted whole.
            let _ = lines.send(line);
        }
    })
}
