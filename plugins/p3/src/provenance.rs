//! Data set and template of rows that do not say them: by the name of their configuration of P3, which
//! is the folder that their file lies in.

use std::path::Path;

use deft_core::prelude::*;

/// The data sets of the configurations that T0 was trained on. Nothing in the name of a
/// configuration tells where that of its data set ends.
const DATASETS: [&str; 38] = [
    "adversarial_qa_dbert",
    "adversarial_qa_dbidaf",
    "adversarial_qa_droberta",
    "ag_news",
    "amazon_polarity",
    "app_reviews",
    "cnn_dailymail_3.0.0",
    "common_gen",
    "cos_e_v1.11",
    "cosmos_qa",
    "dbpedia_14",
    "dream",
    "duorc_ParaphraseRC",
    "duorc_SelfRC",
    "gigaword",
    "glue_mrpc",
    "glue_qqp",
    "imdb",
    "kilt_tasks_hotpotqa",
    "multi_news",
    "paws_labeled_final",
    "qasc",
    "quail",
    "quarel",
    "quartz",
    "quoref",
    "ropes",
    "rotten_tomatoes",
    "samsum",
    "sciq",
    "social_i_qa",
    "trec",
    "wiki_bio",
    "wiki_hop_original",
    "wiki_qa",
    "wiqa",
    "xsum",
    "yelp_review_full",
];

/// What the hub calls the folder of a data set without configurations.
const NO_CONFIGURATION: [&str; 2] = ["default", "data"];

/// Where the rows of a file come from, if it lies as the files of a configuration do: as the hub
/// converts it, `CONFIGURATION/train/0000.parquet` (`partial-train` for a first part), or as it is
/// published, `CONFIGURATION/train-00000-of-00001.parquet`.
///
/// The path is taken as it is given: in the hub's cache its last step is a link to a nameless file.
pub(crate) fn of_path(path: &Path) -> Option<Provenance> {
    let name = configuration(path).filter(|name| !NO_CONFIGURATION.contains(name))?;
    let split = DATASETS
        .into_iter()
        .filter_map(|dataset| Some((dataset, name.strip_prefix(dataset)?.strip_prefix('_')?)))
        .max_by_key(|(dataset, _)| dataset.len());
    let (dataset, template) = split.unwrap_or((name, ""));
    Some(Provenance { dataset: dataset.to_owned(), template: template.to_owned() })
}

fn configuration(path: &Path) -> Option<&str> {
    let stem = path.file_stem()?.to_str()?;
    let folder = path.parent()?;
    let folder_name = folder.file_name()?.to_str()?;
    if is_number(stem) && is_split(folder_name.strip_prefix("partial-").unwrap_or(folder_name)) {
        return folder.parent()?.file_name()?.to_str();
    }
    let (split, part) = stem.split_once('-')?;
    let (number, count) = part.split_once("-of-")?;
    (is_split(split) && is_number(number) && is_number(count)).then_some(folder_name)
}

fn is_split(name: &str) -> bool {
    ["train", "validation", "test"].contains(&name)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_file_of_p3_tells_data_set_and_template_by_its_configuration() {
        for (path, dataset, template) in [
            (
                "cnn_dailymail_3.0.0_sum_in_brief/train/0000.parquet",
                "cnn_dailymail_3.0.0",
                "sum_in_brief",
            ),
            ("/x/trec_fine_grained_ABBR/partial-train/0012.parquet", "trec", "fine_grained_ABBR"),
            ("x/glue_mrpc_want_to_know/train-00000-of-00001.parquet", "glue_mrpc", "want_to_know"),
            ("adversarial_qa_dbert_based_on/test/0000.parquet", "adversarial_qa_dbert", "based_on"),
            // Not of T0's training: nothing tells where the name of the data set ends.
            (
                "super_glue_rte_should_assume/validation/0000.parquet",
                "super_glue_rte_should_assume",
                "",
            ),
        ] {
            let found = of_path(Path::new(path)).unwrap();
            assert_eq!((found.dataset.as_str(), found.template.as_str()), (dataset, template));
        }
    }

    #[test]
    fn each_configuration_of_t0s_training_has_a_data_set_and_a_template() {
        let list = include_str!("../../../manifests/paper/p3-t0-mixture.txt");
        let start = "hf://datasets/bigscience/P3@refs/convert/parquet/";
        let name = |line: &'static str| line.strip_prefix(start)?.split('/').next();
        let names: Vec<&str> = list.lines().filter_map(name).collect();
        assert_eq!(names.len(), 313);
        let mut datasets = BTreeSet::new();
        for name in names {
            let found = of_path(&Path::new(name).join("train/0000.parquet")).unwrap();
            assert!(!found.template.is_empty(), "{name}");
            datasets.insert(found.dataset);
        }
        assert_eq!(datasets.len(), DATASETS.len());
    }

    #[test]
    fn other_files_tell_nothing() {
        for path in [
            "0000.parquet",
            "train/0000.parquet",
            "imdb_Reviewer_Enjoyment/rows.parquet",
            "imdb_Reviewer_Enjoyment/2024/0000.parquet",
            "default/train/0000.parquet",
            "data/train-00000-of-00001.parquet",
        ] {
            assert_eq!(of_path(Path::new(path)), None, "{path}");
        }
    }
}
