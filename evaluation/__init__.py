"""How well a trained model does on recordings: rows judged, counted against labels, drawn. No TensorFlow."""
