//! The documents of the settings: the reference in Markdown, and environment files.

use super::{Section, Setting};

/// The width of a comment in a file.
const WIDTH: usize = 118;

/// Returns the reference in Markdown: a table for each section.
pub fn markdown(introduction: &str, sections: &[Section]) -> String {
    let row = |setting: &Setting| {
        let default = setting.default.as_ref().map_or("unset".to_owned(), |default| format!("`{default}`"));
        format!("| `{}` | {default} | {} |\n", setting.name, setting.description.replace('|', "\\|"))
    };
    let section = |section: &Section| {
        let rows: String = section.settings.iter().map(row).collect();
        format!("\n## {}\n\n| Variable | Default | Description |\n| --- | --- | --- |\n{rows}", section.title)
    };
    format!("{introduction}\n{}", sections.iter().map(section).collect::<String>())
}

/// Returns a file that a shell, Compose or systemd can load: every setting with its description as a comment, and its
/// default, or its value in `values`.
pub fn env_file(introduction: &str, sections: &[Section], values: &[(&str, &str)]) -> String {
    let entry = |Setting { name, default, description }: &Setting| {
        let value = values.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
        let value = value.or(default.as_deref()).unwrap_or_default();
        format!("\n{}{name}={value}\n", comment(&description.replace('`', "")))
    };
    let section = |section: &Section| {
        format!("\n# ---- {} ----\n{}", section.title, section.settings.iter().map(entry).collect::<String>())
    };
    comment(introduction) + &sections.iter().map(section).collect::<String>()
}

/// Returns the text as lines that begin with `#`.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    for paragraph in text.lines() {
        let mut line = String::from("#");
        for word in paragraph.split(' ') {
            if line.len() + 1 + word.len() > WIDTH {
                lines += &line;
                lines.push('\n');
                line = String::from("#");
            }
            line.push(' ');
            line += word;
        }
        lines += line.trim_end();
        lines.push('\n');
    }
    lines
}
