//! Ceilings of quantities: memory, CPUs, time.

use super::super::keys::{Author, KEYS, Key, find};
use super::super::layer::{Item, Layer, Merged, Origin};
use super::super::settings::DEFAULT_SHM_SIZE;
use super::super::values::{
    BlkioWeight, Bytes, CpuShares, Cpus, Invalid, PidsLimit, SwapLimit, duration,
};
use super::{Ceilings, SECTION};
use crate::failure::Result;

/// Every key that has a maximum.
pub fn quantities() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| key.author == Author::Maximum)
}

/// The ceiling of a key that is a quantity.
pub fn maximum_name(key: &Key) -> String {
    format!("MAX_{}", key.name.to_uppercase())
}

impl Ceilings {
    pub(super) fn maximum(&self, key: &Key) -> Option<&str> {
        self.maxima
            .iter()
            .find(|(name, _)| name == key.name)
            .map(|(_, text)| text.as_str())
    }

    /// The maximum that counts for `key` as a number, with the key that it belongs to: memory is also
    /// part of memory and swap together.
    fn limit(&self, key: &'static Key) -> Option<(f64, &'static Key)> {
        let both = [
            Some(key),
            (key.name == "memory")
                .then(|| find("memory_swap"))
                .flatten(),
        ];
        let limits = both.into_iter().flatten().filter_map(|key| {
            let limit = quantity(key, self.maximum(key)?).ok()?;
            Some((limit, key))
        });
        limits.min_by(|(one, _), (other, _)| one.total_cmp(other))
    }

    pub(super) fn check_maximum(&self, item: &Item) -> Result<()> {
        let Some((limit, of)) = self.limit(item.key) else {
            return Ok(());
        };
        let asked = quantity(item.key, &item.text).map_err(|why| item.refuse(why))?;
        if asked <= limit {
            return Ok(());
        }
        let (setting, maximum) = (maximum_name(of), self.maximum(of).unwrap_or_default());
        Err(item
            .refuse(format!("it is above the operator's {setting} = {maximum}"))
            .hint(format!(
                "the operator can raise {setting} in [{SECTION}] of airflow.cfg"
            )))
    }

    /// The maxima of quantities that nobody names: a payload without a limit of its own is not above
    /// the operator's, as with a LimitRange of Kubernetes. What somebody names stays. So that they
    /// count, limits are on where only the profile switches them off.
    pub fn in_place_of_nothing(&self, merged: &Merged) -> Layer {
        let mut layer = Layer::default();
        for key in quantities() {
            let Some((limit, of)) = self.limit(key) else {
                continue;
            };
            let default = match merged.one(key.name) {
                Some(item) if !item.is_unwritten() => continue,
                Some(item) => quantity(key, &item.text).ok(),
                None => self.default_of(key, limit, merged),
            };
            if default.is_some_and(|default| default > limit) {
                let text = self.maximum(of).unwrap_or_default();
                layer.say(key, text, Origin::Ceiling(maximum_name(of)));
            }
        }
        let switch = merged
            .one("limit_resource")
            .filter(|item| item.is_unwritten());
        if let (Some(item), Some((name, _))) = (switch, self.maxima.first())
            && let Some(key) = find(name)
        {
            layer.say(item.key, "true", Origin::Ceiling(maximum_name(key)));
        }
        layer
    }

    /// What holds where no layer has a value; nothing where nothing is not more than any maximum.
    fn default_of(&self, key: &Key, limit: f64, merged: &Merged) -> Option<f64> {
        match key.name {
            // A soft limit, and weights: without one there is less to ask for.
            "memory_reservation" | "cpu_shares" | "blkio_weight" => None,
            #[allow(clippy::cast_precision_loss)] // Far below 2^53.
            "shm_size" => Some(DEFAULT_SHM_SIZE.0 as f64),
            // docker's: twice the memory. Memory above it is the operator's own word.
            "memory_swap" => {
                let key = find("memory")?;
                let named = merged
                    .one("memory")
                    .map(|item| quantity(key, &item.text).ok());
                let memory = named.unwrap_or_else(|| self.limit(key).map(|(limit, _)| limit))?;
                (memory <= limit).then_some(2.0 * memory)
            }
            _ => Some(f64::INFINITY),
        }
    }
}

/// A quantity as a number that can be compared; what means "unlimited" is infinite.
pub(super) fn quantity(key: &Key, text: &str) -> Result<f64, String> {
    let unlimited_at_zero = |number: f64| if number == 0.0 { f64::INFINITY } else { number };
    // Far below 2^53, or rounding does not matter beside a maximum.
    #[allow(clippy::cast_precision_loss)]
    let number = |number: u64| number as f64;
    let why = |why: Invalid| why.to_string();
    Ok(match key.name {
        "cpus" => number(text.parse::<Cpus>().map_err(why)?.thousandths),
        // 0 leaves the kernel's own weights (kernel, sched-design-CFS and block/bfq-iosched).
        "cpu_shares" if text.trim() == "0" => 1024.0,
        "cpu_shares" => number(text.parse::<CpuShares>().map_err(why)?.0),
        "blkio_weight" => match text.parse::<BlkioWeight>().map_err(why)?.0 {
            0 => 100.0,
            weight => f64::from(weight),
        },
        "pids_limit" => match text.parse::<PidsLimit>().map_err(why)? {
            PidsLimit::Unlimited => f64::INFINITY,
            PidsLimit::Most(most) => number(u64::from(most)),
        },
        "timeout" | "stop_timeout" => duration(text).map_err(why)?.as_secs_f64(),
        "memory_swap" => match text.parse::<SwapLimit>().map_err(why)? {
            SwapLimit::Unlimited => f64::INFINITY,
            SwapLimit::Total(bytes) => unlimited_at_zero(number(bytes.0)),
        },
        _ => unlimited_at_zero(number(text.parse::<Bytes>().map_err(why)?.0)),
    })
}
