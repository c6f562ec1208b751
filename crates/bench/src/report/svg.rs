//! Plots with horizontal bars, as plain SVG.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const LABELS: f64 = 260.0;
const NUMBERS: f64 = 90.0;
const BAR: f64 = 14.0;
const COLORS: [&str; 4] = ["#2563eb", "#f59e0b", "#10b981", "#9ca3af"];

/// Some bars with one label.
#[derive(Clone, Debug)]
pub struct Group {
    /// The label.
    pub label: String,
    /// The values, in the order of the series; none for no bar.
    pub values: Vec<Option<f64>>,
}

/// Draws the groups. The longest bar is the highest value of all, or of its group if `each` is true.
pub fn bars(title: &str, series: &[&str], groups: &[Group], each: bool) -> String {
    let highest = |groups: &[Group]| {
        groups.iter().flat_map(|group| &group.values).flatten().fold(0.0, |a: f64, b| a.max(*b))
    };
    let of_all = highest(groups);
    let (mut body, mut y) = (String::new(), 64.0);
    for group in groups {
        let scale = if each { highest(std::slice::from_ref(group)) } else { of_all }.max(1e-9);
        // Writing to a string does not fail.
        let _ = writeln!(
            body,
            r#"<text x="{}" y="{}" text-anchor="end">{}</text>"#,
            LABELS - 8.0,
            y + BAR,
            escape(&group.label)
        );
        for (value, color) in group.values.iter().zip(COLORS) {
            if let Some(value) = value {
                let width = (WIDTH - LABELS - NUMBERS) * value / scale;
                let _ = writeln!(
                    body,
                    r#"<rect x="{LABELS}" y="{y}" width="{width:.1}" height="{}" fill="{color}"/>"#,
                    BAR - 2.0
                );
                let _ = writeln!(
                    body,
                    r#"<text x="{:.1}" y="{}" class="n">{}</text>"#,
                    LABELS + width + 6.0,
                    y + BAR - 3.0,
                    number(*value)
                );
                y += BAR;
            }
        }
        y += 8.0;
    }
    let mut legend = String::new();
    let mut x = LABELS;
    for (name, color) in series.iter().zip(COLORS) {
        let _ = writeln!(
            legend,
            r#"<rect x="{x}" y="36" width="12" height="12" fill="{color}"/><text x="{}" y="47">{}</text>"#,
            x + 18.0,
            escape(name)
        );
        x += 150.0;
    }
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="sans-serif" font-size="12">
<style>text {{ fill: #374151 }} .n {{ font-size: 11px }}</style>
<rect width="{WIDTH}" height="{y}" fill="white"/>
<text x="{LABELS}" y="22" font-size="15">{}</text>
{legend}{body}</svg>
"#,
        escape(title)
    )
}

/// A number with as many digits as matter.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        abs if abs >= 100.0 => 0,
        abs if abs >= 10.0 => 1,
        abs if abs >= 1.0 || abs == 0.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_a_bar_for_each_value() {
        let group =
            |label: &str, values: &[Option<f64>]| Group { label: label.into(), values: values.to_vec() };
        let plot = bars(
            "a < b",
            &["one", "two"],
            &[group("x", &[Some(2.0), Some(1.0)]), group("y", &[None, Some(4.0)])],
            false,
        );
        assert_eq!(plot.matches("<rect x=\"260\" y=\"").count(), 3 + 1);
        assert!(plot.contains("a &lt; b") && plot.ends_with("</svg>\n"));
    }

    #[test]
    fn numbers_have_as_many_digits_as_matter() {
        assert_eq!(
            [1_234_567.0, 123.4, 12.34, 1.234, 0.1234, 0.0].map(number),
            ["1,234,567", "123", "12.3", "1.23", "0.123", "0.00"]
        );
    }
}
