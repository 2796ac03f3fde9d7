package v1alpha1

// PolicyRetention says which complete backups are kept.
type PolicyRetention struct {
	// Snapshots are the rules for backups in the cluster.
	// +optional
	Snapshots *RetentionRules `json:"snapshots,omitempty"`

	// Exports are the rules for what the policy has exported into a repository, of
	// each claim by itself. Default: all is kept.
	// +optional
	Exports *RetentionRules `json:"exports,omitempty"`
}

// RetentionRules have restic's meaning: what any of them keeps is kept. Each
// count keeps the newest backup of so many hours, days, ISO weeks, months or
// years that have one, -1 of all of them. Each keepWithin is a time in restic's
// words, such as 48h, 7d or 1y6m (m is months), and counts back from the newest
// backup.
//
// +kubebuilder:validation:XValidation:rule="[has(self.keepLast) && self.keepLast != 0, has(self.keepHourly) && self.keepHourly != 0, has(self.keepDaily) && self.keepDaily != 0, has(self.keepWeekly) && self.keepWeekly != 0, has(self.keepMonthly) && self.keepMonthly != 0, has(self.keepYearly) && self.keepYearly != 0, has(self.keepWithin) && self.keepWithin.matches('[1-9]'), has(self.keepWithinHourly) && self.keepWithinHourly.matches('[1-9]'), has(self.keepWithinDaily) && self.keepWithinDaily.matches('[1-9]'), has(self.keepWithinWeekly) && self.keepWithinWeekly.matches('[1-9]'), has(self.keepWithinMonthly) && self.keepWithinMonthly.matches('[1-9]'), has(self.keepWithinYearly) && self.keepWithinYearly.matches('[1-9]')].exists(keeps, keeps)",message="these rules would keep nothing: write one that keeps something, as keepLast: 3, or leave retention out to keep all"
type RetentionRules struct {
	// +kubebuilder:validation:Minimum=-1
	// +optional
	KeepLast int32 `json:"keepLast,omitempty"`
	// +kubebuilder:validation:Minimum=-1
	// +optional
	KeepHourly int32 `json:"keepHourly,omitempty"`
	// +kubebuilder:validation:Minimum=-1
	// +optional
	KeepDaily int32 `json:"keepDaily,omitempty"`
	// +kubebuilder:validation:Minimum=-1
	// +optional
	KeepWeekly int32 `json:"keepWeekly,omitempty"`
	// +kubebuilder:validation:Minimum=-1
	// +optional
	KeepMonthly int32 `json:"keepMonthly,omitempty"`
	// +kubebuilder:validation:Minimum=-1
	// +optional
	KeepYearly int32 `json:"keepYearly,omitempty"`
	// +optional
	KeepWithin Span `json:"keepWithin,omitempty"`
	// +optional
	KeepWithinHourly Span `json:"keepWithinHourly,omitempty"`
	// +optional
	KeepWithinDaily Span `json:"keepWithinDaily,omitempty"`
	// +optional
	KeepWithinWeekly Span `json:"keepWithinWeekly,omitempty"`
	// +optional
	KeepWithinMonthly Span `json:"keepWithinMonthly,omitempty"`
	// +optional
	KeepWithinYearly Span `json:"keepWithinYearly,omitempty"`
}

// Span is a time in restic's words: years, months, days and hours, such as 48h,
// 30d or 1y6m.
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,4}y)?([0-9]{1,5}m)?([0-9]{1,6}d)?([0-9]{1,6}h)?$')",message="write years, months, days and hours, in this order, as 48h, 30d or 1y6m"
type Span string
