variable "name" {
  description = "CONNECTOR_NAME"
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,47}$", var.name))
    error_message = "Expected 1-48 of a-z, 0-9 and hyphen, not starting with a hyphen."
  }
}

variable "account_id" {
  description = "The account's number"
  type        = string
}

variable "region" {
  description = "CONNECTOR_REGION"
  type        = string
}

variable "instance_id" {
  description = "CONNECTOR_INSTANCE_ID, the Kafka instance"
  type        = string
}

variable "source_topic" {
  description = "CONNECTOR_SOURCE_TOPIC"
  type        = string
}

variable "project" {
  description = "CONNECTOR_PROJECT"
  type        = string
}

variable "table" {
  description = "CONNECTOR_TABLE"
  type        = string
}

variable "role" {
  description = "CONNECTOR_ROLE"
  type        = string
  default     = "AliyunKafkaMaxComputeUser1"
}

variable "concurrency" {
  description = "CONNECTOR_CONCURRENCY"
  type        = number
  default     = 6
  validation {
    condition     = contains([1, 2, 3, 6, 12], var.concurrency)
    error_message = "Expected 1, 2, 3, 6 or 12."
  }
}

variable "vpc_id" {
  description = "CONNECTOR_VPC_ID, the VPC of the Kafka instance"
  type        = string
}

variable "vswitch_id" {
  description = "CONNECTOR_VSWITCH_ID"
  type        = string
}

variable "security_group_id" {
  description = "SECURITY_GROUP_ID"
  type        = string
}
