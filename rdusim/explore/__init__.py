"""Many runs: axes along which a request varies, evaluated with as little work as they need, and what they show."""
