"""How accurate trained nets are on images unlike those they were trained on."""
