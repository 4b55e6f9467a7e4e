"""Every error a client or an operator can meet, with its stable code.

    TradegraphError
    ├── RequestError              the caller can mend it: BAD_REQUEST
    │   ├── ParseFailed           GRAPHQL_PARSE_FAILED
    │   ├── ValidationFailed      GRAPHQL_VALIDATION_FAILED
    │   ├── DocumentTooLarge      DOCUMENT_TOO_LARGE
    │   ├── LimitExceeded         LIMIT_EXCEEDED
    │   ├── TooExpensive          OPERATION_TOO_EXPENSIVE
    │   ├── RateLimited           RATE_LIMITED
    │   ├── Overloaded            OVERLOADED
    │   ├── SubscriberTooSlow     SUBSCRIBER_TOO_SLOW
    │   ├── ShuttingDown          SHUTTING_DOWN
    │   ├── BadUserInput          BAD_USER_INPUT
    │   ├── MethodNotAllowed      METHOD_NOT_ALLOWED
    │   ├── NotAcceptable         NOT_ACCEPTABLE
    │   ├── InvalidTimeout        INVALID_TIMEOUT
    │   ├── UnsupportedMediaType  UNSUPPORTED_MEDIA_TYPE
    │   ├── PayloadTooLarge       PAYLOAD_TOO_LARGE
    │   ├── NotFound              NOT_FOUND
    │   ├── EdgeRefusal           before anything of a request is looked at
    │   │   ├── HostNotAllowed       HOST_NOT_ALLOWED
    │   │   ├── OriginNotAllowed     ORIGIN_NOT_ALLOWED
    │   │   ├── MalformedHTTP        MALFORMED_HTTP
    │   │   ├── HeadersTooLarge      HEADERS_TOO_LARGE
    │   │   ├── RequestTooSlow       REQUEST_TOO_SLOW
    │   │   └── TooManyConnections   TOO_MANY_CONNECTIONS
    │   ├── WebhookRefused        of what a source tells us
    │   │   ├── WebhookSourceUnknown     WEBHOOK_SOURCE_UNKNOWN
    │   │   ├── WebhookNetworkRefused    WEBHOOK_NETWORK_REFUSED
    │   │   ├── WebhookUnsigned          WEBHOOK_UNSIGNED
    │   │   ├── WebhookForeign           WEBHOOK_FOREIGN
    │   │   ├── WebhookForged            WEBHOOK_FORGED
    │   │   ├── WebhookExpired           WEBHOOK_EXPIRED
    │   │   └── WebhookMalformed         WEBHOOK_MALFORMED
    │   ├── TrustedDocumentRequired     TRUSTED_DOCUMENT_REQUIRED
    │   ├── DocumentNotFound      DOCUMENT_NOT_FOUND
    │   ├── DocumentRetired       DOCUMENT_RETIRED
    │   ├── DocumentMismatch      DOCUMENT_MISMATCH
    │   ├── PersistedQueryNotFound      PERSISTED_QUERY_NOT_FOUND
    │   ├── PersistedQueryNotSupported  PERSISTED_QUERY_NOT_SUPPORTED
    │   ├── KeyReused             KEY_REUSED
    │   ├── VersionConflict       VERSION_CONFLICT
    │   ├── IntakeBusy            INTAKE_BUSY
    │   ├── InvalidTransition     INVALID_TRANSITION
    │   ├── OrderChangePending   ORDER_CHANGE_PENDING
    │   ├── SelfApproval          SELF_APPROVAL
    │   ├── ApprovalNotAllowed    APPROVAL_NOT_ALLOWED
    │   ├── QuoteExpired          QUOTE_EXPIRED
    │   ├── QuoteRefused          QUOTE_REFUSED
    │   ├── ReturnRefused         RETURN_REFUSED
    │   ├── OrderProblem          ORDER_PROBLEM: in payloads, by line
    │   │   ├── DuplicatePO           DUPLICATE_PO
    │   │   ├── CustomerUnknown       CUSTOMER_UNKNOWN
    │   │   ├── CustomerBlocked       CUSTOMER_BLOCKED
    │   │   ├── ShipToUnknown         SHIP_TO_UNKNOWN
    │   │   ├── ItemUnknown           ITEM_UNKNOWN
    │   │   ├── ItemNotOrderable      ITEM_NOT_ORDERABLE
    │   │   ├── UnitUnknown           UNIT_UNKNOWN
    │   │   ├── QuantityNotOrderable  QUANTITY_NOT_ORDERABLE
    │   │   ├── PriceMissing          PRICE_MISSING
    │   │   ├── PriceProofInvalid     PRICE_PROOF_INVALID
    │   │   ├── PriceProofExpired     PRICE_PROOF_EXPIRED
    │   │   ├── PriceProofForeign     PRICE_PROOF_FOREIGN
    │   │   ├── PriceProofMismatch    PRICE_PROOF_MISMATCH
    │   │   ├── PriceChanged          PRICE_CHANGED
    │   │   ├── CreditExceeded        CREDIT_EXCEEDED
    │   │   ├── ApprovalRequired      APPROVAL_REQUIRED
    │   │   ├── ApprovalOutdated      APPROVAL_OUTDATED
    │   │   ├── OrderRefused          ORDER_REFUSED
    │   │   ├── OrderAlreadyPicked    ORDER_ALREADY_PICKED
    │   │   ├── OrderChangeRefused   ORDER_CHANGE_REFUSED
    │   │   ├── OrderNotDelivered    ORDER_NOT_DELIVERED
    │   │   ├── LineUnknown          LINE_UNKNOWN
    │   │   ├── ReturnExceedsDelivery  RETURN_EXCEEDS_DELIVERY
    │   │   └── PostingFailed         POSTING_FAILED
    │   ├── InvalidInput          INVALID_INPUT
    │   │   ├── InvalidID         INVALID_ID
    │   │   ├── InvalidCursor     INVALID_CURSOR
    │   │   ├── InvalidPageSize   INVALID_PAGE_SIZE
    │   │   └── FilterNotSupported       FILTER_NOT_SUPPORTED
    │   │       └── SortNotSupported     SORT_NOT_SUPPORTED
    │   ├── DownloadLinkInvalid   DOWNLOAD_LINK_INVALID
    │   ├── DownloadLinkExpired   DOWNLOAD_LINK_EXPIRED
    │   ├── DownloadLinkForeign   DOWNLOAD_LINK_FOREIGN
    │   ├── DownloadNotFound      DOWNLOAD_NOT_FOUND
    │   ├── Unauthenticated       UNAUTHENTICATED
    │   │   └── CredentialTooLarge   CREDENTIAL_TOO_LARGE
    │   └── Forbidden             FORBIDDEN
    │       ├── NoIntrospection   INTROSPECTION_FORBIDDEN
    │       └── TooManyAccounts   TOO_MANY_ACCOUNTS
    ├── SourceError               a backend did not answer as it must
    │   ├── SourceUnavailable     SOURCE_UNAVAILABLE
    │   ├── SourceTimeout         SOURCE_TIMEOUT
    │   ├── SourceThrottled       SOURCE_THROTTLED
    │   ├── SourceRejected        SOURCE_REJECTED
    │   ├── SourceMalformed       SOURCE_MALFORMED
    │   ├── SourceHostKeyChanged  SOURCE_HOST_KEY_CHANGED
    │   ├── SourceUntrusted       SOURCE_UNTRUSTED
    │   ├── DownloadTooLarge      DOWNLOAD_TOO_LARGE
    │   └── DownloadNotPDF        DOWNLOAD_NOT_PDF
    ├── FileRefused               a file of a source cannot be imported: FILE_REFUSED
    │   ├── FileTruncated         FILE_TRUNCATED
    │   ├── FileEncodingWrong     FILE_ENCODING_WRONG
    │   ├── FileMalformed         FILE_MALFORMED
    │   ├── FileTooWide           FILE_TOO_WIDE
    │   ├── FileTooLarge          FILE_TOO_LARGE
    │   ├── FileNameRefused       FILE_NAME_REFUSED
    │   ├── FileNotRegular        FILE_NOT_REGULAR
    │   ├── FileNameReused        FILE_NAME_REUSED
    │   ├── FileDuplicated        FILE_DUPLICATED
    │   ├── FileOutdated          FILE_OUTDATED
    │   ├── FileTooManyRejected   FILE_TOO_MANY_REJECTED
    │   └── FileChanged           FILE_CHANGED
    ├── DeadlineExceeded          DEADLINE_EXCEEDED
    ├── AuthenticationUnavailable AUTHENTICATION_UNAVAILABLE
    ├── AccountsUnavailable       ACCOUNTS_UNAVAILABLE
    ├── StoreUnavailable          STORE_UNAVAILABLE
    ├── SearchIndexNotReady       SEARCH_INDEX_NOT_READY
    ├── NotSupported              NOT_SUPPORTED
    └── ConfigurationError        stops the start; never reaches a client

`message` is for the client and never holds a backend's text. What the backend said goes into
`detail`, which is logged under the error's id and nowhere else. docs/errors.md has an entry for
each code; a test compares the two.
"""

from __future__ import annotations

from app.errors.base import (
    RequestError,
    TradegraphError,
)
from app.errors.connection import (
    EdgeRefusal,
    HeadersTooLarge,
    HostNotAllowed,
    MalformedHTTP,
    OriginNotAllowed,
    RequestTooSlow,
    TooManyConnections,
)
from app.errors.documents import (
    DocumentMismatch,
    DocumentNotFound,
    DocumentRetired,
    PersistedQueryNotFound,
    PersistedQueryNotSupported,
    TrustedDocumentRequired,
)
from app.errors.downloads import (
    DownloadLinkExpired,
    DownloadLinkForeign,
    DownloadLinkInvalid,
    DownloadNotFound,
    DownloadNotPDF,
    DownloadTooLarge,
)
from app.errors.files import (
    FileChanged,
    FileDuplicated,
    FileEncodingWrong,
    FileMalformed,
    FileNameRefused,
    FileNameReused,
    FileNotRegular,
    FileOutdated,
    FileRefused,
    FileTooLarge,
    FileTooManyRejected,
    FileTooWide,
    FileTruncated,
)
from app.errors.intake import (
    ApprovalNotAllowed,
    ApprovalOutdated,
    ApprovalRequired,
    CreditExceeded,
    CustomerBlocked,
    CustomerUnknown,
    DuplicatePO,
    IntakeBusy,
    InvalidTransition,
    ItemNotOrderable,
    ItemUnknown,
    KeyReused,
    LineUnknown,
    OrderAlreadyPicked,
    OrderChangePending,
    OrderChangeRefused,
    OrderNotDelivered,
    OrderProblem,
    OrderRefused,
    PostingFailed,
    PriceChanged,
    PriceMissing,
    PriceProofExpired,
    PriceProofForeign,
    PriceProofInvalid,
    PriceProofMismatch,
    QuantityNotOrderable,
    QuoteExpired,
    QuoteRefused,
    ReturnExceedsDelivery,
    ReturnRefused,
    SelfApproval,
    ShipToUnknown,
    UnitUnknown,
    VersionConflict,
)
from app.errors.limits import (
    DocumentTooLarge,
    LimitExceeded,
    Overloaded,
    RateLimited,
    SubscriberTooSlow,
    TooExpensive,
)
from app.errors.platform import (
    AccountsUnavailable,
    AuthenticationUnavailable,
    ConfigurationError,
    DeadlineExceeded,
    NotSupported,
    SearchIndexNotReady,
    StoreUnavailable,
)
from app.errors.requests import (
    BadUserInput,
    CredentialTooLarge,
    FilterNotSupported,
    Forbidden,
    InvalidCursor,
    InvalidID,
    InvalidInput,
    InvalidPageSize,
    InvalidTimeout,
    MethodNotAllowed,
    NoIntrospection,
    NotAcceptable,
    NotFound,
    ParseFailed,
    PayloadTooLarge,
    ShuttingDown,
    SortNotSupported,
    TooManyAccounts,
    Unauthenticated,
    UnsupportedMediaType,
    ValidationFailed,
)
from app.errors.sources import (
    SourceError,
    SourceHostKeyChanged,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceTimeout,
    SourceUnavailable,
    SourceUntrusted,
)
from app.errors.webhooks import (
    WebhookExpired,
    WebhookForeign,
    WebhookForged,
    WebhookMalformed,
    WebhookNetworkRefused,
    WebhookRefused,
    WebhookSourceUnknown,
    WebhookUnsigned,
)

__all__ = [
    "AccountsUnavailable",
    "ApprovalNotAllowed",
    "ApprovalOutdated",
    "ApprovalRequired",
    "AuthenticationUnavailable",
    "BadUserInput",
    "ConfigurationError",
    "CredentialTooLarge",
    "CreditExceeded",
    "CustomerBlocked",
    "CustomerUnknown",
    "DeadlineExceeded",
    "DocumentMismatch",
    "DocumentNotFound",
    "DocumentRetired",
    "DocumentTooLarge",
    "DownloadLinkExpired",
    "DownloadLinkForeign",
    "DownloadLinkInvalid",
    "DownloadNotFound",
    "DownloadNotPDF",
    "DownloadTooLarge",
    "DuplicatePO",
    "EdgeRefusal",
    "FileChanged",
    "FileDuplicated",
    "FileEncodingWrong",
    "FileMalformed",
    "FileNameRefused",
    "FileNameReused",
    "FileNotRegular",
    "FileOutdated",
    "FileRefused",
    "FileTooLarge",
    "FileTooManyRejected",
    "FileTooWide",
    "FileTruncated",
    "FilterNotSupported",
    "Forbidden",
    "HeadersTooLarge",
    "HostNotAllowed",
    "IntakeBusy",
    "InvalidCursor",
    "InvalidID",
    "InvalidInput",
    "InvalidPageSize",
    "InvalidTimeout",
    "InvalidTransition",
    "ItemNotOrderable",
    "ItemUnknown",
    "KeyReused",
    "LimitExceeded",
    "LineUnknown",
    "MalformedHTTP",
    "MethodNotAllowed",
    "NoIntrospection",
    "NotAcceptable",
    "NotFound",
    "NotSupported",
    "OrderAlreadyPicked",
    "OrderChangePending",
    "OrderChangeRefused",
    "OrderNotDelivered",
    "OrderProblem",
    "OrderRefused",
    "OriginNotAllowed",
    "Overloaded",
    "ParseFailed",
    "PayloadTooLarge",
    "PersistedQueryNotFound",
    "PersistedQueryNotSupported",
    "PostingFailed",
    "PriceChanged",
    "PriceMissing",
    "PriceProofExpired",
    "PriceProofForeign",
    "PriceProofInvalid",
    "PriceProofMismatch",
    "QuantityNotOrderable",
    "QuoteExpired",
    "QuoteRefused",
    "RateLimited",
    "RequestError",
    "RequestTooSlow",
    "ReturnExceedsDelivery",
    "ReturnRefused",
    "SearchIndexNotReady",
    "SelfApproval",
    "ShipToUnknown",
    "ShuttingDown",
    "SortNotSupported",
    "SourceError",
    "SourceHostKeyChanged",
    "SourceMalformed",
    "SourceRejected",
    "SourceThrottled",
    "SourceTimeout",
    "SourceUnavailable",
    "SourceUntrusted",
    "StoreUnavailable",
    "SubscriberTooSlow",
    "TooExpensive",
    "TooManyAccounts",
    "TooManyConnections",
    "TradegraphError",
    "TrustedDocumentRequired",
    "Unauthenticated",
    "UnitUnknown",
    "UnsupportedMediaType",
    "ValidationFailed",
    "VersionConflict",
    "WebhookExpired",
    "WebhookForeign",
    "WebhookForged",
    "WebhookMalformed",
    "WebhookNetworkRefused",
    "WebhookRefused",
    "WebhookSourceUnknown",
    "WebhookUnsigned",
]
