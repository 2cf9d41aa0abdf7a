// The status of a connection or of a map.

export const CONNECTING = "connecting"
export const OPEN = "open"
export const SYNCING = "syncing"
export const READY = "ready"
export const OFFLINE = "offline"
export const CLOSED = "closed"
