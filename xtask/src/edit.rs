//! Changes several files or none: everything is read and checked first, and written at the end.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Files to write.
#[derive(Debug, Default)]
pub struct Edits(Vec<(PathBuf, String)>);

impl Edits {
    /// Adds a new file. Errors: the file exists.
    pub fn create(&mut self, path: PathBuf, text: String) -> Result<(), String> {
        if path.exists() {
            return Err(format!("{} already exists", path.display()));
        }
        self.0.push((path, text));
        Ok(())
    }

    /// Inserts lines before the marker `// new-resource: NAME` of a file, with the marker's indentation. Errors: the marker
    /// is missing.
    pub fn insert(&mut self, path: &Path, marker: &str, lines: &[String]) -> Result<(), String> {
        let marker = format!("// new-resource: {marker}");
        let pending = self.0.iter().position(|(known, _)| known == path);
        let text = match pending.and_then(|index| self.0.get(index)) {
            Some((_, text)) => text.clone(),
            None => fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?,
        };
        let at = text.find(&marker).ok_or_else(|| format!("{} has no line {marker:?}", path.display()))?;
        let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
        let indent = " ".repeat(at - start);
        let added: Vec<String> = lines.iter().map(|line| format!("{indent}{line}\n")).collect();
        let added = added.concat();
        let (before, after) = text.split_at(start);
        let changed = format!("{before}{added}{after}");
        match pending.and_then(|index| self.0.get_mut(index)) {
            Some(entry) => entry.1 = changed,
            None => self.0.push((path.to_owned(), changed)),
        }
        Ok(())
    }

    /// Writes all files. Returns a line for each.
    pub fn write(self) -> Result<Vec<String>, String> {
        let mut written = Vec::new();
        for (path, text) in self.0 {
            let verb = if path.exists() { "changed" } else { "created" };
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            }
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
            written.push(format!("{verb} {}", path.display()));
        }
        Ok(written)
    }
}
