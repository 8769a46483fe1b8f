//! Files in a bucket of an S3-compatible store.

use std::time::Duration;

use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::{Client, Config};
use aws_smithy_http_client::Builder as HttpClient;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use bytes::{Bytes, BytesMut};

use super::upload::S3Upload;
use crate::config::S3;
use crate::error::{Error, Result};

/// One bucket.
#[derive(Clone)]
pub struct S3Storage {
    client: Client,
    bucket: String,
}

impl S3Storage {
    /// Creates a client for the bucket. It does not connect yet.
    pub fn open(settings: &S3) -> Self {
        let credentials =
            Credentials::new(&settings.access_key_id, &settings.secret_access_key, None, None, "settings");
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(HttpClient::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https())
            .region(Region::new(settings.region.clone()))
            .credentials_provider(credentials)
            .force_path_style(settings.force_path_style)
            // Small S3-compatible stores do not support the newer trailing checksums.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(3))
                    .operation_attempt_timeout(Duration::from_secs(15))
                    .operation_timeout(Duration::from_secs(40))
                    .build(),
            );
        if let Some(endpoint) = &settings.endpoint {
            config = config.endpoint_url(endpoint);
        }
        Self { client: Client::from_conf(config.build()), bucket: settings.bucket.clone() }
    }

    pub(super) async fn put(&self, key: &str, bytes: Bytes, content_type: &str) -> Result<()> {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(())
    }

    /// Begins an upload.
    pub(super) fn begin(&self, key: &str, content_type: &str) -> S3Upload {
        S3Upload {
            client: self.client.clone(),
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            content_type: content_type.to_owned(),
            buffer: BytesMut::new(),
            id: None,
            parts: Vec::new(),
            is_finished: false,
        }
    }

    /// Returns a URL of the store that anybody may read the file from for this time.
    pub(super) async fn link(
        &self,
        key: &str,
        content_type: &str,
        disposition: &str,
        valid: Duration,
    ) -> Result<String> {
        let get = self.client.get_object().bucket(&self.bucket).key(key);
        let get = get.response_content_type(content_type).response_content_disposition(disposition);
        let config = PresigningConfig::expires_in(valid).map_err(Error::internal)?;
        let signed = get.presigned(config).await.map_err(|error| unavailable(&error))?;
        Ok(signed.uri().to_owned())
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(object) => {
                let body = object.body.collect().await.map_err(|error| unavailable(&error))?;
                Ok(Some(body.into_bytes()))
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(aws_sdk_s3::operation::get_object::GetObjectError::is_no_such_key) =>
            {
                Ok(None)
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    pub(super) async fn delete(&self, key: &str) -> Result<()> {
        self.client
            .delete_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(())
    }

    pub(super) async fn ready(&self) -> Result<()> {
        self.client.head_bucket().bucket(&self.bucket).send().await.map_err(|error| unavailable(&error))?;
        Ok(())
    }
}

/// Creates the error for a failed request to the store: it may be retried, and the cause is logged.
pub(super) fn unavailable(error: &(impl std::error::Error + Send + Sync)) -> Error {
    let mut unavailable = Error::unavailable("the file store does not answer");
    unavailable.source = Some(DisplayErrorContext(error).to_string().into());
    unavailable
}
