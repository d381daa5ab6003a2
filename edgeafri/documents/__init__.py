"""What EdgeAfri writes as JSON and reads again: evaluations, measurements, builds, profiles, studies."""
