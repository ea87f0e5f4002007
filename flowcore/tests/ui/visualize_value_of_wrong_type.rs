use flowcore::prelude::*;

#[task]
fn list(folder: &str) -> Vec<String> {
    vec![folder.to_owned()]
}

#[flow]
async fn usage(folder: String) -> Result<usize> {
    Ok(list(&folder).await?.len())
}

async fn draw() -> Result<()> {
    usage.visualize("/data".to_owned()).value_of(&list, 7).await?;
    usage.visualize(7).await?;
    usage.visualize("/data".to_owned()).value_of(list, Vec::new()).await?;
    Ok(())
}

fn main() {}
