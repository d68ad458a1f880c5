"""Views: books and facts as the JSON that people and programs get to see. They decide nothing."""
