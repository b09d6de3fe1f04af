//! Latin-sounding names for species that do not exist: one genus name for sister species, epithets that mean
//! something.

use super::SPECIES_PER_GENUS;

/// Beginnings of genus names; none begins another.
const STARTS: [&str; 32] = [
    "Arg", "Brenth", "Cal", "Cyn", "Dan", "Ereb", "Fab", "Gon", "Hel", "Hes", "Ior", "Kal", "Lim", "Lyc", "Mel",
    "Morph", "Neph", "Nym", "Orn", "Pap", "Par", "Phe", "Pier", "Quer", "Ros", "Sat", "Thec", "Tith", "Urb", "Van",
    "Xen", "Zer",
];

/// Middles of genus names. Neither these nor [`ENDS`] begin one another, so a name can be read in one way only, and no
/// two genera share a name however many middles it takes.
const MIDDLES: [&str; 16] =
    ["ad", "and", "ar", "ath", "em", "er", "et", "ict", "il", "in", "ol", "on", "op", "or", "ul", "yr"];

const ENDS: [&str; 16] =
    ["aea", "ana", "ea", "eis", "ella", "ia", "ida", "issa", "odes", "oe", "una", "ura", "usa", "yma", "ypha", "ys"];

/// Second names: sister species take six different ones.
const EPITHETS: [&str; 91] = [
    "admirabilis",
    "alba",
    "alpina",
    "amabilis",
    "arctica",
    "argentea",
    "aurantia",
    "aurea",
    "australis",
    "bella",
    "borealis",
    "caelestis",
    "caerulea",
    "candida",
    "carminea",
    "caudata",
    "celeris",
    "cinerea",
    "citrina",
    "crenata",
    "decora",
    "dentata",
    "eburnea",
    "elegans",
    "errans",
    "fasciata",
    "festiva",
    "flammea",
    "fluvialis",
    "formosa",
    "fulgens",
    "fulva",
    "gracilis",
    "ignea",
    "insularis",
    "lactea",
    "limbata",
    "lineata",
    "littoralis",
    "lucida",
    "lunata",
    "maculata",
    "maior",
    "marginata",
    "marina",
    "matutina",
    "mellea",
    "meridionalis",
    "minor",
    "mirabilis",
    "montana",
    "nivea",
    "nobilis",
    "nocturna",
    "obscura",
    "occidentalis",
    "ocellata",
    "olivacea",
    "opalina",
    "orientalis",
    "ornata",
    "pallida",
    "picta",
    "plumosa",
    "pratensis",
    "pulchra",
    "punctata",
    "purpurea",
    "radiata",
    "regalis",
    "reticulata",
    "rosea",
    "sanguinea",
    "sapphirina",
    "serena",
    "sericea",
    "smaragdina",
    "solaris",
    "solitaria",
    "speciosa",
    "splendens",
    "stellata",
    "sylvatica",
    "tranquilla",
    "umbrosa",
    "undulata",
    "vagans",
    "velutina",
    "venusta",
    "violacea",
    "viridis",
];

/// The name of a species, fit for a folder: `Vanilella-pulchra`. No two ids share one; sister species share the genus.
pub fn species_name(species: u32) -> String {
    let genus = species / SPECIES_PER_GENUS;
    let member = species % SPECIES_PER_GENUS;
    format!("{}-{}", genus_name(genus), epithet(genus, member))
}

fn genus_name(genus: u32) -> String {
    const START_COUNT: u32 = STARTS.len() as u32;
    const MIDDLE_COUNT: u32 = MIDDLES.len() as u32;
    const SHORT: u32 = START_COUNT * MIDDLE_COUNT * ENDS.len() as u32;
    // An odd factor permutes the numbers below a power of two: neighbors get unlike names, none is left out.
    let shuffled = (genus % SHORT).wrapping_mul(2_903) % SHORT;
    let mut name = STARTS[(shuffled % START_COUNT) as usize].to_owned();
    name.push_str(MIDDLES[(shuffled / START_COUNT % MIDDLE_COUNT) as usize]);
    let mut more = genus / SHORT;
    while more > 0 {
        // Bijective numeration: every number has exactly one row of digits 1 to 16.
        more -= 1;
        name.push_str(MIDDLES[(more % MIDDLE_COUNT) as usize]);
        more /= MIDDLE_COUNT;
    }
    name.push_str(ENDS[(shuffled / (START_COUNT * MIDDLE_COUNT)) as usize]);
    name
}

fn epithet(genus: u32, member: u32) -> &'static str {
    // 91 = 7 * 13 and the step 17 have no common factor: six steps give six different words.
    let count = EPITHETS.len() as u32;
    EPITHETS[((genus % count * 29 + member * 17) % count) as usize]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_first_ten_thousand_names_are_unique() {
        let names: BTreeSet<String> = (0..10_000).map(species_name).collect();
        assert_eq!(names.len(), 10_000);
    }

    #[test]
    fn sister_species_share_their_genus_even_among_the_last_ids() {
        for genus in [0, 1, 1_000, 8_191, 8_192, 140_000, u32::MAX / SPECIES_PER_GENUS - 1] {
            let names: Vec<String> =
                (0..SPECIES_PER_GENUS).map(|i| species_name(genus * SPECIES_PER_GENUS + i)).collect();
            let genera: BTreeSet<&str> = names.iter().filter_map(|name| name.split_once('-')).map(|(g, _)| g).collect();
            assert_eq!(genera.len(), 1, "{names:?}");
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        }
    }

    /// What makes names of any length unique: they can be taken apart in one way only.
    #[test]
    fn no_part_of_a_name_begins_another() {
        let inner: Vec<&str> = MIDDLES.iter().chain(&ENDS).copied().collect();
        for parts in [STARTS.to_vec(), inner] {
            for (i, a) in parts.iter().enumerate() {
                for (j, b) in parts.iter().enumerate() {
                    assert!(i == j || !b.starts_with(a), "{a} begins {b}");
                }
            }
        }
        assert!(EPITHETS.iter().collect::<BTreeSet<_>>().len() == EPITHETS.len());
    }

    #[test]
    fn names_are_words_that_any_file_system_takes() {
        for id in (0..u32::MAX).step_by(7_654_321) {
            let name = species_name(id);
            assert!(name.chars().all(|c| c.is_ascii_alphabetic() || c == '-') && name.len() < 48, "{name}");
        }
    }
}
