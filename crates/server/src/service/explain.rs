//! Why a stored image is similar to a query.

use std::sync::Arc;

use kinsight_data::CropBox;
use kinsight_index::PointId;
use kinsight_report::explanation::{Explanation, draw_png};

use super::{Collection, Held, Query, Service, ServiceError, Source, Work, prepare};
use crate::explanation::explain;

/// Which two images are compared, and how the answer is wanted.
pub(crate) struct ExplainQuery {
    pub query: Query,
    pub against: PointId,
    pub drawn: bool,
}

/// The explanation, as numbers or as a PNG.
pub(crate) enum Explained {
    Numbers(Box<Explanation>),
    Png(Vec<u8>),
}

impl Service {
    /// Explains the similarity of a query and a stored image.
    pub async fn explain(
        &self,
        work: Work,
        collection: Arc<Collection>,
        ExplainQuery { query, against, drawn }: ExplainQuery,
        held: Held,
    ) -> Result<Explained, ServiceError> {
        // First, so that one explanation alone holds decoded images.
        let slot = self.explaining.clone().acquire_owned().await;
        let slot = slot.map_err(|error| ServiceError::internal("the server is stopping", error))?;
        let (first, held) = match query {
            Query::Upload(source) => (source, held),
            Query::Stored(id, crop) => self.read_source(&work, &collection, id, crop, held).await?,
        };
        let (second, _held) = self.read_source(&work, &collection, against, None, held).await?;
        let model = collection.model().clone();
        let explained = self.decoder.decode(&work, vec![first, second], move |images| {
            let (encoder, pictures) = (&model.encoder, [&images[0], &images[1]]);
            let values = [prepare(pictures[0], encoder.preprocess())?, prepare(pictures[1], encoder.preprocess())?];
            let explanation = explain(encoder.encoder(), encoder.preprocess(), pictures, [&values[0], &values[1]])?;
            drop(slot);
            if !drawn {
                return Ok(Explained::Numbers(Box::new(explanation)));
            }
            let png = draw_png(&explanation, pictures);
            png.map(Explained::Png).map_err(|error| ServiceError::internal("the explanation could not be drawn", error))
        });
        explained.await
    }

    async fn read_source(
        &self,
        work: &Work,
        collection: &Arc<Collection>,
        id: PointId,
        crop: Option<CropBox>,
        held: Held,
    ) -> Result<(Source, Held), ServiceError> {
        let (bytes, held) = self.read_file(work, collection, id, held).await?;
        Ok((Source { bytes, crop }, held))
    }
}
