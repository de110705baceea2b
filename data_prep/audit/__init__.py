"""The audit of a split: what would make results measured on it untrue."""

from data_prep.audit.auditing import all_checks, audit
from data_prep.audit.card import audit_section
from data_prep.audit.given import AuditInput
from data_prep.audit.page import audit_page
from data_prep.audit.printing import print_audit

__all__ = ["AuditInput", "all_checks", "audit", "audit_page", "audit_section", "print_audit"]
