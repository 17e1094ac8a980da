package analytics

// InstallFor is [Install] with a role of some other name.
var InstallFor = installFor
