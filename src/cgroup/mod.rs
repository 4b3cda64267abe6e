//! stub
#![allow(missing_docs)]
use crate::failure::Result; use crate::id::ContainerId; use std::path::{Path,PathBuf}; use std::time::Duration;
#[derive(Debug,Clone,Copy,PartialEq,Eq)] pub enum Layout { Unified, Hybrid, Legacy }
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)] pub enum Subpath { Cgroupfs(PathBuf), Systemd{slice:String,prefix:String} }
impl std::str::FromStr for Subpath { type Err = crate::failure::Failure; fn from_str(s: &str) -> Result<Self> { Ok(Self::Cgroupfs(s.into())) } }
#[derive(Debug,Default)] pub struct Usage { pub memory_peak: Option<u64>, pub cpu_time: Option<Duration>, pub pids_peak: Option<u64>, pub oom_kills: Option<u64> }
#[derive(Debug)] pub struct Hierarchies;
impl Hierarchies { pub fn detect(_:&Path)->Result<Self>{Ok(Self)} }
#[derive(Debug,Clone)] pub struct Group;
impl Group { 
pub fn create(_:&Hierarchies,_:&Subpath,_:&ContainerId,_:&Path)->Result<Self>{Ok(Self)}
pub fn find(_:&Path,_:&Subpath,_:&ContainerId)->Result<Option<Self>>{Ok(None)}
pub fn usage(&self)->Usage{Usage::default()}
pub fn pids(&self)->Result<Vec<i32>>{Ok(vec![])}
pub fn is_empty(&self)->bool{true}
pub fn kill(&self,_:Duration)->Result<Vec<i32>>{Ok(vec![])}
pub fn remove(self,_:&Path)->Result<()>{Ok(())}
}
