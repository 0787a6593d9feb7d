# Alarms and a dashboard over the sink's log store, in Simple Log Service.
#
# NOT TRIED: no provider and no account were at hand when this was written. The resources' arguments are from the provider's
# documents (aliyun/alicloud 1.293). The queries name fields that the sink writes; a test of the project compares them.
#
# The log store needs an index on the fields message, level, reason and, as JSON, metrics. With `logConfig: auto` the console
# of Function Compute names the project and the store.

terraform {
  required_version = ">= 1.5"
  required_providers {
    alicloud = {
      source  = "aliyun/alicloud"
      version = ">= 1.293"
    }
  }
}

variable "region" {
  description = "CONNECTOR_REGION"
  type        = string
}

variable "project" {
  description = "The log project of the sink"
  type        = string
}

variable "store" {
  description = "The log store of the sink"
  type        = string
}

variable "action_policy" {
  description = "The action policy of Simple Log Service that notifies people"
  type        = string
}

variable "most_lag" {
  description = "Records that the sink may be behind for ten minutes; the messages of a few minutes"
  type        = number
}

provider "alicloud" {
  region = var.region
}

locals {
  # name = { query with one row, condition, what the notification says }
  alarms = {
    dead-letters = {
      query     = "* and message: \"records can't be written\" | select count(1) as records"
      condition = "records > 0"
      title     = "Records became dead letters: list them with the action letters"
    }
    failures = {
      query     = "* and message: \"invocation failed\" | select count(1) as failures"
      condition = "failures > 10"
      title     = "Batches fail repeatedly: docs/RUNBOOK.md has the error"
    }
    lag = {
      query     = "* and message: metrics | select max(\"metrics.gauges.lag\") as lag"
      condition = "lag > ${var.most_lag}"
      title     = "The sink is behind: docs/RUNBOOK.md, states without an error"
    }
    pending = {
      query     = "* and message: metrics | select max(\"metrics.gauges.ledger_oldest_pending\") / 60000 as minutes"
      condition = "minutes > 30"
      title     = "A claim can't be completed: run the action status"
    }
    log-ends = {
      query     = "* and message: metrics | select max(\"metrics.gauges.beyond_the_log\") as records"
      condition = "records > 0"
      title     = "A log ends before records of a batch: pause the stream, and run the action audit"
    }
  }
}

resource "alicloud_log_alert" "alarm" {
  for_each          = local.alarms
  version           = "2.0"
  type              = "default"
  project_name      = var.project
  alert_name        = "kafka-maxcompute-${each.key}"
  alert_displayname = each.value.title
  no_data_fire      = false
  send_resolved     = true

  schedule {
    type     = "FixedRate"
    interval = "5m"
  }
  query_list {
    store      = var.store
    store_type = "log"
    project    = var.project
    region     = var.region
    start      = "-10m"
    end        = "now"
    query      = each.value.query
  }
  severity_configurations {
    severity = 8
    eval_condition = {
      condition       = each.value.condition
      count_condition = ""
    }
  }
  group_configuration {
    type = "no_group"
  }
  policy_configuration {
    alert_policy_id  = "sls.builtin.dynamic"
    action_policy_id = var.action_policy
    repeat_interval  = "4h"
  }
}

resource "alicloud_log_dashboard" "connector" {
  project_name   = var.project
  dashboard_name = "kafka-maxcompute"
  display_name   = "Kafka to MaxCompute"
  attribute      = jsonencode({ type = "grid" })
  char_list = jsonencode([
    for index, chart in jsondecode(file("${path.module}/dashboard.json")) : merge(chart, {
      action = {}
      search = merge(chart.search, { logstore = var.store, topic = "", start = "-86400s", end = "now" })
      display = merge(chart.display, {
        xPos = 12 * (index % 2), yPos = 8 * floor(index / 2), width = 12, height = 8
      })
    })
  ])
}
