//! An Airflow's files, as far as airtight reads them.

use std::fs;

use super::Host;

impl Host {
    /// Makes an AIRFLOW_HOME whose airflow.cfg says `config`, and a DAG file with `metadata`; the DAG
    /// file's path.
    pub fn airflow(&self, config: &str, metadata: &str) -> String {
        let home = self.path("airflow");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("airflow.cfg"), config).unwrap();
        let dag = self.path("dag.py");
        fs::write(&dag, "").unwrap();
        fs::write(self.path("dag.py.metadata.yaml"), metadata).unwrap();
        dag.display().to_string()
    }
}
