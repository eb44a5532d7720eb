"""What `import pointdistill` offers beyond single functions of other rooms (docs/api.md)."""
