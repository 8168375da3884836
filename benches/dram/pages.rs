//! Devices from their pages of data: what the reference runs of two other simulators were set to, and the presets.

use std::fs;
use std::path::Path;

use rdu::memory::dram::Config;
use toml::{Table, Value};

const REFERENCES: &str = "python/rdu/testing/dram";
const PRESETS: &str = "python/rdu/machines/dram";

/// Entries of a page that describe the page.
const ABOUT: [&str; 4] = ["title", "status", "source", "description"];

/// A value without its unit, status and source.
fn bare(value: Value) -> Value {
    match value {
        Value::Table(mut table) => match table.remove("value") {
            Some(value) => value,
            None => Value::Table(table.into_iter().map(|(key, value)| (key, bare(value))).collect()),
        },
        value => value,
    }
}

fn page(folder: &str, name: &str) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(format!("{name}.toml"));
    let text = fs::read_to_string(&path).expect("the page is there");
    let page = text.parse::<Table>().expect("the page is TOML");
    let values = page.into_iter().filter(|(key, _)| !ABOUT.contains(&key.as_str()));
    let table: Table = values.map(|(key, value)| (key, bare(value))).collect();
    table.try_into().expect("the page describes a device")
}

/// As `rdu.testing.reference_dram` has them, of every page one or more.
pub fn references() -> Vec<Config> {
    let reference = |name: &str, change: fn(&mut Config)| {
        let mut config = page(REFERENCES, name.split('-').next().unwrap_or(name));
        config.name = name.into();
        change(&mut config);
        config
    };
    vec![
        reference("HBM2_2000", |_| ()),
        reference("HBM2E_3200d", |_| ()),
        reference("HBM3_6400", |_| ()),
        reference("HBM4_8000", |_| ()),
        reference("DDR4_3200AA", |_| ()),
        reference("DDR5_4800AN", |_| ()),
        reference("HBM2_2000-8ch", |config| {
            (config.organisation.channels, config.map.interleave_bytes) = (8, Some(256));
        }),
        reference("HBM3_6400-16ch", |config| {
            (config.organisation.channels, config.map.interleave_bytes) = (16, Some(256));
        }),
        reference("HBM2_8Gb_x128-1ch", |_| ()),
        reference("HBM2_8Gb_x128-8ch", |config| config.organisation.channels = 8),
        reference("DDR4_8Gb_x8_3200-1r", |_| ()),
        reference("DDR4_8Gb_x8_3200-1r-bglow", |config| {
            config.map.fields = ["bank_group", "column", "bank", "rank", "channel", "row"].map(String::from).to_vec();
        }),
        reference("DDR4_8Gb_x8_3200-2r", |config| config.organisation.ranks = 2),
    ]
}

/// Whole, with all their channels.
pub fn presets() -> Vec<Config> {
    let names = ["hbm2-2000", "hbm2e-3200", "hbm2e-3600", "hbm3-6400", "ddr4-3200", "ddr5-4800"];
    names.map(|name| page(PRESETS, name)).to_vec()
}
