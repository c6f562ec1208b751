//! What the bench says while it works, on standard error.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// Writes a line.
pub fn say(text: &str) {
    // Nobody may be listening.
    let _ = writeln!(io::stderr(), "{text}");
}

/// How far a long work is.
#[derive(Debug)]
pub struct Progress {
    title: String,
    all: u64,
    done: u64,
    begun: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    /// Begins a work of `all` steps.
    pub fn new(title: &str, all: u64) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self { title: title.into(), all, done: 0, begun: Instant::now(), shown: None, is_terminal }
    }

    /// Shows that `steps` more are done: on a terminal at once, elsewhere every ten seconds.
    pub fn advance(&mut self, steps: u64) {
        self.done = (self.done + steps).min(self.all);
        let pause = if self.is_terminal { Duration::from_millis(100) } else { Duration::from_secs(10) };
        if self.shown.is_none_or(|shown| shown.elapsed() >= pause) {
            self.shown = Some(Instant::now());
            self.show(&bar(self.done, self.all));
        }
    }

    /// Shows what is done now.
    pub fn step(&mut self, name: &str) {
        self.show(&format!("{}  {name}", bar(self.done, self.all)));
    }

    /// Ends the work.
    pub fn end(mut self) {
        self.done = self.all;
        self.show(&format!("{}  done", bar(self.done, self.all)));
        if self.is_terminal {
            say("");
        }
    }

    fn show(&self, text: &str) {
        let line = format!("{}  {text}  {:.0} s", self.title, self.begun.elapsed().as_secs_f64());
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
        } else {
            say(&line);
        }
    }
}

fn bar(done: u64, all: u64) -> String {
    let tenths = usize::try_from(done * 20 / all.max(1)).unwrap_or(20).min(20);
    format!("[{}{}] {:3}%", "#".repeat(tenths), ".".repeat(20 - tenths), done * 100 / all.max(1))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_bar_fills_up() {
        assert_eq!(super::bar(0, 4), "[....................]   0%");
        assert_eq!(super::bar(2, 4), "[##########..........]  50%");
        assert_eq!(super::bar(4, 4), "[####################] 100%");
    }
}
