//! umount.pail: sends everything, unmounts, and returns when the daemon has ended.

use crate::exit::{self, Failure};
use crate::login::shown;
use crate::progress::Sending;
use crate::sizes;
use pail::daemon::client::Client;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Also if it is in use: the name is free at once, what is open goes on until its last close
    #[arg(short = 'z', long)]
    pub lazy: bool,
    /// The mount point
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let client = Client::of(&args.dir)?;
    let mut sending = Sending::new();
    let left = client.unmount(args.lazy, &mut |bytes, files| sending.left(bytes, files))?;
    drop(sending);
    if left > 0 {
        let what =
            format!("{} is unmounted, but {} are not in the store yet", shown(&args.dir), sizes::show(left));
        return Err(Failure::new(exit::LEFT_IN_CACHE, what)
            .hint("they are safe in the cache; the next mount sends them"));
    }
    Ok(())
}
