"""What operators tell of how they measure: sites, systems, models, workloads, and the monitoring plan over them."""
