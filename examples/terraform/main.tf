# What the provisioning function's action `apply` creates, for a team that keeps such resources in Terraform.
#
# NOT TRIED: no provider was at hand when this was written. The resources' arguments are from the provider's documents
# (aliyun/alicloud 1.293). After `terraform apply`, run the action `plan`: it must report no change, because it compares
# the same properties. Then set CONNECTOR_RESOURCE_CREATION=manual, so that `apply` doesn't create resources, too.
#
# Terraform has no resource for a MaxCompute user and its grants: run the statements of the output `grants` once, as an
# administrator of the project. The ledger's first record and the settings record are in Kafka: `apply` writes them.

terraform {
  required_version = ">= 1.5"
  required_providers {
    alicloud = {
      source  = "aliyun/alicloud"
      version = ">= 1.293"
    }
  }
}

provider "alicloud" {
  region = var.region
}

locals {
  group = "connect-${var.name}"
  # Topic-partitions and storage of each topic. Only local storage can be compacted, and compaction would drop dead letters.
  topics = {
    "connect-offset-${var.name}" = { purpose = "offset", partitions = 6, compacted = true }
    "connect-config-${var.name}" = { purpose = "config", partitions = 1, compacted = true }
    "connect-status-${var.name}" = { purpose = "status", partitions = 6, compacted = true }
    "connect-error-${var.name}"  = { purpose = "error", partitions = 6, compacted = false }
  }
  principal = join("", ["RAM$", var.account_id, ":role/", lower(var.role)]) # MaxCompute has the role in lower case
}

resource "alicloud_ram_role" "sink" {
  role_name   = var.role
  description = "Writes Kafka topics into MaxCompute"
  assume_role_policy_document = jsonencode({
    Version = "1"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = ["alikafka.aliyuncs.com", "fc.aliyuncs.com"] }
    }]
  })
}

# One of each in an account. If one exists already: terraform import.
resource "alicloud_resource_manager_service_linked_role" "eventbridge" {
  for_each = toset([
    "source-kafka.eventbridge.aliyuncs.com",
    "connect-vpc.eventbridge.aliyuncs.com",
    "sendevent-fc.eventbridge.aliyuncs.com",
  ])
  service_name = each.value
}

resource "alicloud_alikafka_topic" "own" {
  for_each      = local.topics
  instance_id   = var.instance_id
  topic         = each.key
  partition_num = each.value.partitions
  local_topic   = each.value.compacted
  compact_topic = each.value.compacted
  remark        = "${each.value.purpose} topic"

  lifecycle {
    prevent_destroy = true # the offset topic holds the ledger, the error topic the dead letters
  }
}

resource "alicloud_alikafka_consumer_group" "stream" {
  instance_id = var.instance_id
  consumer_id = local.group
}

# Deploy the functions first, without the trigger: s deploy -t template-stream.yml
resource "alicloud_event_bridge_event_streaming" "stream" {
  event_streaming_name = "connect-${var.name}"
  description          = "Writes ${var.source_topic} into ${var.project}.${var.table}"
  filter_pattern       = "{}"
  status               = "RUNNING"
  source = jsonencode({
    SourceKafkaParameters = {
      RegionId        = var.region
      InstanceId      = var.instance_id
      Topic           = var.source_topic
      ConsumerGroup   = local.group
      OffsetReset     = "earliest"
      ValueDataType   = "Text"
      Network         = "PublicNetwork"
      VpcId           = var.vpc_id
      VSwitchIds      = var.vswitch_id
      SecurityGroupId = var.security_group_id
    }
  })
  sink = jsonencode({
    SinkFcParameters = {
      FunctionName   = { Form = "CONSTANT", Value = "maxcompute-sink-${var.name}", Template = "" }
      InvocationType = { Form = "CONSTANT", Value = "Sync", Template = "" }
      Concurrency    = { Form = "CONSTANT", Value = tostring(var.concurrency), Template = "" }
      Body           = { Form = "ORIGINAL", Value = "", Template = "" }
    }
  })
  run_options = jsonencode({
    ErrorsTolerance = "NONE" # ALL would lose the batches that fail
    MaximumTasks    = var.concurrency
    RetryStrategy   = { PushRetryStrategy = "EXPONENTIAL_DECAY_RETRY" }
    BatchWindow     = { CountBasedWindow = 10000, TimeBasedWindow = 10 }
  })

  depends_on = [
    alicloud_alikafka_topic.own,
    alicloud_alikafka_consumer_group.stream,
    alicloud_resource_manager_service_linked_role.eventbridge,
  ]
}

output "grants" {
  description = "Statements for an administrator of the MaxCompute project."
  value = [
    "add user `${local.principal}`;",
    "grant CreateInstance on project ${var.project} to user `${local.principal}`;",
    "grant Describe, Alter, Update, Select on table ${var.table} to user `${local.principal}`;",
  ]
}
