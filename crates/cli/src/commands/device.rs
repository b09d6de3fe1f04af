//! `--device`: the processor that computes.
//!
//! The CPU is always there. Each other back end is a cargo feature of the same name, since each brings a compiler of
//! its own; there the transformer block runs composed from tensor operations.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use burn::tensor::Device;

/// A processor by name, as typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceArg {
    kind: Kind,
    index: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Cpu,
    Cuda,
    Rocm,
    Wgpu,
    Vulkan,
    Metal,
}

const KINDS: [(&str, Kind); 6] = [
    ("cpu", Kind::Cpu),
    ("cuda", Kind::Cuda),
    ("rocm", Kind::Rocm),
    ("wgpu", Kind::Wgpu),
    ("vulkan", Kind::Vulkan),
    ("metal", Kind::Metal),
];

impl FromStr for DeviceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index)),
            None => (text, None),
        };
        let Some((_, kind)) = KINDS.iter().find(|(known, _)| *known == name) else {
            return Err(format!("unknown device {name}, expected one of {}", KINDS.map(|(known, _)| known).join(", ")));
        };
        let index = match index {
            None => None,
            Some(_) if *kind == Kind::Cpu => return Err("cpu takes no number".into()),
            Some(index) => Some(
                index
                    .parse()
                    .map_err(|_| format!("the device number is {index:?}, expected a number as in {name}:1"))?,
            ),
        };
        Ok(Self { kind: *kind, index })
    }
}

impl fmt::Display for DeviceArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name);
        match self.index {
            Some(index) => write!(f, "{name}:{index}"),
            None => f.write_str(name),
        }
    }
}

impl DeviceArg {
    /// The device, if this program was built with its back end.
    ///
    /// # Errors
    /// Names the cargo feature that is missing.
    pub fn open(self) -> Result<Device> {
        match self.kind {
            Kind::Cpu => Ok(Device::flex()),
            #[cfg(feature = "cuda")]
            Kind::Cuda => Ok(Device::cuda(self.index.unwrap_or(0))),
            #[cfg(feature = "rocm")]
            Kind::Rocm => Ok(Device::rocm(self.index.unwrap_or(0))),
            #[cfg(feature = "wgpu")]
            Kind::Wgpu => Ok(Device::wgpu(self.graphics())),
            #[cfg(feature = "vulkan")]
            Kind::Vulkan => Ok(Device::vulkan(self.graphics())),
            #[cfg(feature = "metal")]
            Kind::Metal => Ok(Device::metal(self.graphics())),
            #[cfg(not(all(
                feature = "cuda",
                feature = "rocm",
                feature = "wgpu",
                feature = "vulkan",
                feature = "metal"
            )))]
            _ => anyhow::bail!(
                "this program was built without the device {self}\nhint: build it with the feature of that name, as in `cargo \
                 install --path crates/cli --features cuda`, or leave --device out to compute on the CPU"
            ),
        }
    }

    /// The best adapter, or the discrete one of that number.
    #[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
    fn graphics(self) -> burn::tensor::DeviceKind {
        self.index.map_or(burn::tensor::DeviceKind::DefaultDevice, burn::tensor::DeviceKind::DiscreteGpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_parsed_and_nonsense_is_named() {
        assert_eq!("cpu".parse(), Ok(DeviceArg::default()));
        assert_eq!("cuda:1".parse::<DeviceArg>().map(|device| device.to_string()), Ok("cuda:1".into()));
        assert_eq!("cuda:1".parse(), Ok(DeviceArg { kind: Kind::Cuda, index: Some(1) }));
        assert_eq!("vulkan".parse(), Ok(DeviceArg { kind: Kind::Vulkan, index: None }));
        for (text, expected) in [("gpu", "unknown device gpu"), ("cuda:x", "number is \"x\""), ("cpu:0", "no number")] {
            let error = text.parse::<DeviceArg>().unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
