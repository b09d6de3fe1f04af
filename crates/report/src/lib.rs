//! Every page that Kinsight writes, and the charts and tables on them.
//!
//! Pages are one HTML file each that a person can open, print, mail and keep: styles, script, charts and pictures are
//! inside, and a content security policy forbids every network access. They are made from plain structs that serialize,
//! so that a page can be made, tested and kept without a model: this crate knows neither the tensor engine nor a
//! server.
//!
//! HTML is written with `maud`, which escapes every string by construction; `frame` replaces, once and for the whole
//! page, the characters that escaping does not make harmless.
//!
//! Map: [`run`] the report of a run, [`audit`] what is wrong with a data set, [`comparison`] methods over seeds,
//! [`explanation`] why two pictures are similar, [`search`] what was found, [`calibration`] what a score means. They
//! share `frame` (head, bar, sections, foot), `chart`, [`number`] and [`pictures`] (each picture stored once;
//! thumbnails within a budget).

pub mod audit;
pub mod calibration;
mod chart;
pub mod comparison;
pub mod explanation;
mod frame;
pub mod number;
pub mod pictures;
pub mod run;
pub mod search;

pub use pictures::{Picture, PictureFormat};
pub use run::Report;
